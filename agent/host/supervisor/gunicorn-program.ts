import { gunicornRefused, gunicornReplaced } from "../../../shared/server-file-rules.ts";

/**
 * gunicorn with what cutover decides. gunicorn's own program reads gunicorn.conf.py, and some of its settings, such as
 * `daemon`, can be switched on by an option but not off; others, such as a `user` that the host lacks, end it. This is the
 * same program, but it asks first which settings may count.
 *
 * The names are gunicorn's own, from 19.4 on. Arguments: the seconds that a worker has until it serves, the usual numbers of
 * workers and threads, and then gunicorn's.
 */
export const gunicornProgram = `
import os, sys, time
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.http import wsgi

boot, workers, threads = float(sys.argv[1]), sys.argv[2], sys.argv[3]
del sys.argv[1:4]
home = os.getcwd()
REFUSED = ${JSON.stringify(gunicornRefused)}
REPLACED = ${JSON.stringify(gunicornReplaced)}


def said(name, value, reason):
    sys.stderr.write("cutover: %s = %r of gunicorn's own settings does not count: %s\\n" % (name, value, reason))


def within(folder):
    # The modules there are found all the same.
    path = os.path.realpath(os.path.join(home, folder))
    if os.path.isdir(path) and path.startswith(os.path.realpath(home) + "/"):
        sys.path.insert(0, path)


def writable(path):
    return os.access(path if os.path.exists(path) else os.path.dirname(path) or ".", os.W_OK)


class Instance(WSGIApplication):
    def load_config(self):
        config, given = self.cfg, {}
        accept = config.set

        def set(name, value):
            if name in REFUSED:
                if name in config.settings and value not in (config.settings[name].get(), None, False, ""):
                    said(name, value, REFUSED[name])
                    if name == "chdir":
                        within(value)
                return
            if name == "accesslog" and value not in (None, "-") and not writable(value):
                said(name, value, "it is not writable; nginx has the access log")
                return
            if name in REPLACED:
                if given.get(name, value) != value:
                    said(name, given[name], REPLACED[name])
                given[name] = value
            accept(name, value)

        # gunicorn's own variable for the number of workers.
        if "WEB_CONCURRENCY" not in os.environ:
            accept("workers", workers)
        accept("threads", threads)
        # All that sets something calls it: the file, GUNICORN_CMD_ARGS and the command line, in this order.
        vars(config)["set"] = set
        super().load_config()
        del vars(config)["set"]
        # From 25.1 on: with a home, the masters of all instances would share one.
        if "control_socket_disable" in config.settings:
            config.set("control_socket_disable", True)
        if config.workers != int(workers):
            sys.stderr.write("cutover: gunicorn has %d workers\\n" % config.workers)
        config.set("pre_fork", booting(config.pre_fork))

    def chdir(self):
        # A chdir of gunicorn.conf.py does not come here.
        if home not in sys.path:
            sys.path.insert(0, home)


def booting(own):
    """gunicorn's worker time-out also ends a worker that is still importing. Until it first says that it lives, it has longer."""

    def pre_fork(server, worker):
        own(server, worker)
        seen = worker.tmp.last_update
        made, limit = seen(), time.monotonic() + boot
        # gunicorn compares it with one of two clocks, depending on its version.
        now = time.monotonic if made < 1e9 else time.time

        def last_update():
            last = seen()
            return now() if last == made and time.monotonic() < limit else last

        worker.tmp.last_update = last_update

    return pre_fork


create = wsgi.create


def visitor(*request, **options):
    """Only nginx gets here, and says whose request it is. gunicorn knows no address at the end of a unix socket."""
    response, environ = create(*request, **options)
    address = environ.get("HTTP_X_REAL_IP")
    if address:
        environ["REMOTE_ADDR"] = address
        environ.pop("REMOTE_PORT", None)
    return response, environ


wsgi.create = visitor
Instance("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()
`;
