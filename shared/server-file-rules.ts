/**
 * What a server's own file in the project may not decide, since cutover does: each setting with the reason. Everything else
 * in the file counts.
 */

const listening = "each instance listens where cutover says";
const supervised = "supervisor starts and stops the instances";
const owner = "the host says which user the app runs as";
const place = "an instance runs in its release's directory";
const unchanging = "a release never changes";
const ends = "nginx ends TLS";
const logged = "the output is the instance's log";

/** Settings of gunicorn.conf.py that never reach gunicorn. */
export const gunicornRefused: Record<string, string> = {
  daemon: supervised,
  pidfile: supervised,
  user: owner,
  group: owner,
  initgroups: owner,
  chdir: place,
  reuse_port: listening,
  proxy_protocol: "nginx sends plain HTTP",
  protocol: "nginx sends plain HTTP",
  certfile: ends,
  keyfile: ends,
  reload: unchanging,
  check_config: supervised,
  print_config: supervised,
  control_socket: "there is none: all instances would share one",
};

/** Settings of gunicorn.conf.py that cutover's own options replace. */
export const gunicornReplaced: Record<string, string> = {
  bind: listening,
  umask: listening,
  proc_name: "it is the instance's name",
  errorlog: logged,
  workers: "cutover.yml has server.workers",
  threads: "cutover.yml has server.threads",
};

/** Options of uwsgi.ini that do not reach uWSGI, the first rule that fits. The patterns are read by JavaScript and by Python. */
export const uwsgiRefused: [pattern: string, reason: string][] = [
  [
    "(?:s?uwsgi-|ssl-|scgi-|fastcgi-|puwsgi-|upstart-|undeferred-|map-|shared-)?socket|socket-protocol|protocol|https?\\d*(?:-.+)?|fastrouter.*|zerg.*|chmod(?:-socket)?|chown(?:-socket)?|stats.*",
    listening,
  ],
  ["daemonize2?|(?:safe-)?pidfile2?|master|die-on-term|no-orphans|need-app|master-fifo|emperor.*|vassal.*", supervised],
  ["uid|gid|add-gid|immediate-[ug]id|chroot|pivot-root", owner],
  ["chdir2?", place],
  ["touch-.*|fs-reload|py(?:thon)?-auto-?reload", unchanging],
  ["log-?to2?|logger|req-logger", logged],
  ["module|wsgi|wsgi-file|file|callable", "cutover.yml's server.app names the application"],
  ["virtualenv|venv|home|pyhome", "a release has an environment of its own"],
];

/** Options of uwsgi.ini that a key of cutover.yml replaces, if it has the key. */
export const uwsgiReplaced = { workers: "processes|workers|cheaper.*", threads: "threads" };
