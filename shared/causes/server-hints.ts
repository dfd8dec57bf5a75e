import type { Hint } from "./hint.ts";

const own = "the release's directory, its user and its log are set already.";
const exits =
  "Look for `os._exit`, `sys.exit` or a crash in C code in what the app imports: `python -c 'import MODULE'` in the project shows it.";

const asgi = "This is an ASGI application: set `server.kind: uvicorn` in cutover.yml.";

/** Of gunicorn, uvicorn, uWSGI, hypercorn, waitress, Tornado and Celery. */
export const serverHints: Hint[] = [
  {
    id: "gunicorn-chdir",
    pattern: /can't chdir to '([^']+)'/,
    fix: `Remove \`chdir\` from gunicorn.conf.py: ${own}`,
    example: "Error: can't chdir to '/srv/nowhere'",
  },
  {
    id: "gunicorn-user",
    pattern: /^Error: No such (?:user|group): '([^']+)'/,
    fix: `Remove \`user\` and \`group\` from gunicorn.conf.py: ${own}`,
    example: "Error: No such user: 'nosuchuser'",
  },
  {
    id: "gunicorn-pidfile",
    pattern: /Can't create pidfile/,
    fix: "Remove `pidfile` from gunicorn.conf.py: supervisor keeps the process.",
    example: "Error: /run/nowhere doesn't exist. Can't create pidfile.",
  },
  {
    id: "gunicorn-logfile",
    pattern: /Error: '([^']+)' isn't writable/,
    fix: `Remove \`errorlog\` and \`accesslog\` from gunicorn.conf.py: ${own}`,
    example:
      "Error: Error: '/var/log/nowhere/e.log' isn't writable [FileNotFoundError(2, 'No such file or directory')]",
  },
  {
    id: "gunicorn-worker-class",
    pattern: /(gevent|eventlet) worker requires |class uri '([^']+)' invalid or not found/,
    fix: "Add the package that has the worker class {1} to the requirements, or correct `worker_class` in gunicorn.conf.py.",
    example: "RuntimeError: gevent worker requires gevent 1.4 or higher",
  },
  {
    id: "gunicorn-not-callable",
    pattern: /^Application object must be callable/,
    fix: "`server.app` in cutover.yml names something that is no application, such as a text or a module: correct what stands after its colon.",
    example: "Application object must be callable.",
  },
  {
    id: "gunicorn-setting",
    pattern:
      /^Error: (?:invalid literal for int\(\) with base 0: .*|Not an? \w+: .*|Value must be .*|Invalid (?:boolean|value|callable).*)/,
    cause: "gunicorn does not understand one of its settings: {line}",
    fix: "Correct that value in gunicorn.conf.py, or in GUNICORN_CMD_ARGS of `env` in cutover.yml.",
    example: "Error: invalid literal for int() with base 0: 'four'",
  },
  {
    id: "celery-root",
    pattern: /Running a worker with superuser privileges when the/,
    anywhere: "first",
    cause: "Celery does not run as root a worker that accepts pickle",
    fix: "Give the app a user of its own (`user` in its settings file on the host), or let the worker accept json alone: `accept_content = ['json']`.",
    example: "Running a worker with superuser privileges when the",
  },
  {
    id: "connection-in-use",
    pattern: /Connection in use: (.+)/,
    anywhere: "always",
    fix: "Another program has that address: remove `bind` from gunicorn.conf.py, since the instance gets its address from cutover.",
    example: "[2026-11-26 21:52:45 +0000] [17303] [ERROR] Connection in use: ('127.0.0.1', 54327)",
  },
  {
    id: "celery-option-place",
    pattern: /Error: No such option: -A/,
    fix: "Since Celery 5 the application comes before the command: `celery -A MODULE worker`.",
    example: "Error: No such option: -A",
  },
  {
    id: "click-option",
    pattern: /Error: No such option: (\S+)/,
    fix: "The program does not know {1}: correct the command, or pin the version that does.",
    example: "Error: No such option: --nope Did you mean --loop?",
  },
  {
    id: "hypercorn-application",
    pattern: /^NoAppError/,
    fix: "Correct `server.app` in cutover.yml: hypercorn does not find that module, or the name in it.",
    example: "NoAppError",
  },
  {
    id: "waitress-module",
    pattern: /^\d+\. No module named '([^']+)'/,
    anywhere: "always",
    fix: "Correct `server.app` in cutover.yml, or add the package that has {1} to the requirements.",
    example: "1. No module named 'nomod'",
  },
  {
    id: "uwsgi-plugin",
    pattern: /UNABLE to load uWSGI plugin: (\S+)/,
    anywhere: "always",
    fix: "The host's uWSGI has no such plugin: use uWSGI from the requirements, which has Python in it, or install uwsgi-plugin-python3 on the host.",
    example:
      "!!! UNABLE to load uWSGI plugin: /usr/lib/uwsgi/plugins/python39_plugin.so: cannot open shared object file: No such file or directory !!!",
  },
  {
    id: "uwsgi-application",
    pattern: /callable not found or import error/,
    anywhere: "if nothing else",
    fix: "Correct `server.app` in cutover.yml: it is `module:name`, and the module must define that name.",
    example: "unable to load app 0 (mountpoint='') (callable not found or import error)",
  },
  {
    id: "worker-timeout",
    pattern: /WORKER TIMEOUT \(pid:\d+\)/,
    anywhere: "if nothing else",
    cause: "gunicorn ended a worker that was busy for longer than its `timeout`: {line}",
    fix: "Find what the import of the app, or the request, waits for; or raise `timeout` in gunicorn.conf.py.",
    example: "[2026-11-26 21:52:20 +0000] [15908] [CRITICAL] WORKER TIMEOUT (pid:15909)",
  },
  {
    id: "worker-signal",
    pattern: /was terminated due to signal (?:11|6|4|7)\b/,
    anywhere: "if nothing else",
    cause: "Its workers crash in C code: {line}",
    fix: 'A package with C code crashes: pin the version that worked before. PYTHONFAULTHANDLER: "1" in `env` of cutover.yml shows where.',
    example: "[2026-11-26 21:13:46 +0000] [3225] [WARNING] Worker with pid 3246 was terminated due to signal 11",
  },
  {
    id: "worker-exits",
    pattern: /Reason: Worker failed to boot/,
    anywhere: "if silent",
    cause: "Its worker ended by itself with exit code 3 and printed nothing",
    fix: exits,
    example: "[2026-11-26 21:43:33 +0000] [25732] [INFO] Reason: Worker failed to boot.",
  },
  {
    id: "running-loop",
    pattern: /asyncio\.run\(\) cannot be called from a running event loop|This event loop is already running/,
    cause: "The server imports the application inside its event loop: {line}",
    fix: "Move what {place} does into the application's start-up handler (its `lifespan`), which may `await` it.",
    example: "RuntimeError: asyncio.run() cannot be called from a running event loop",
  },
  {
    id: "no-loop",
    pattern: /There is no current event loop in thread|no running event loop/,
    cause: "Code of asyncio runs in a thread that has no event loop: {line}",
    fix: "Call it by `asyncio.run(...)` there, or make the application ASGI and set `server.kind: uvicorn`.",
    example: "RuntimeError: There is no current event loop in thread 'ThreadPoolExecutor-0_0'.",
  },
  {
    id: "startup-waits",
    pattern: /Waiting for application startup\.$/,
    anywhere: "if silent",
    without: /Application startup complete|Application startup failed/,
    cause: "The start-up handler of the application has not ended",
    fix: "It runs before the server listens. Find what it waits for: a database, another service, a loop without an end. A loop belongs into a task of its own: `asyncio.create_task()`.",
    example: "INFO:     Waiting for application startup.",
  },
  {
    id: "tornado-option",
    pattern: /Unrecognized command line option: '([\w-]+)'/,
    fix: 'Tornado takes only options that are defined before parse_command_line(): write `define("{1}")` there, or take --{1} out of the command.',
    example: "Error: Unrecognized command line option: 'port'",
  },
  {
    id: "wsgi-server-for-asgi",
    pattern: /missing \d+ required positional arguments?: (?:'receive' and )?'send'/,
    cause: "The server speaks WSGI, and the application is ASGI: {line}",
    fix: asgi,
    example: "TypeError: FastAPI.__call__() missing 1 required positional argument: 'send'",
  },
  {
    id: "factory-argument",
    pattern:
      /(?:^TypeError: |app factory: )(\w*(?:create|make|factory|build|get)\w*|make)\(\) missing \d+ required (?:positional|keyword-only) arguments?: '(?!environ|start_response|scope|receive|send)/,
    cause: "The function that makes the application wants an argument, and gets none: {line}",
    fix: 'Give the argument a default in {1}(). gunicorn also takes a value from cutover.yml: `app: module:{1}("production")`.',
    example: "TypeError: create_app() missing 1 required positional argument: 'config'",
  },
  {
    id: "factory-not-called",
    pattern: /^TypeError: (\w*(?:create|make|factory|build|get)\w*|make)\(\) (?:takes|missing|got)/,
    cause: "The server got a function that makes the application, and not the application: {line}",
    fix: "Write the call where cutover.yml names the application: `app: module:{1}()`.",
    example: "TypeError: create_app() takes from 0 to 1 positional arguments but 2 were given",
  },
  {
    id: "asgi-server-for-wsgi",
    pattern:
      /missing 1 required positional argument: '(?:start_response|s|start)'|takes 2 positional arguments but 3 were given/,
    cause: "The server speaks ASGI, and the application is WSGI: {line}",
    fix: "Set `server.kind: gunicorn` in cutover.yml. If it is that, take `worker_class` (UvicornWorker) out of gunicorn.conf.py.",
    example: "TypeError: application() missing 1 required positional argument: 's'",
  },
];
