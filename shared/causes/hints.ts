import { databaseHints } from "./database-hints.ts";
import { frameworkHints } from "./framework-hints.ts";
import type { Hint } from "./hint.ts";
import { pipHints } from "./pip-hints.ts";
import { serverHints } from "./server-hints.ts";
import { settingsHints } from "./settings-hints.ts";
import { stdlibHints } from "./stdlib-hints.ts";
import { systemHints } from "./system-hints.ts";
import { toolHints } from "./tool-hints.ts";

const write =
  "Write in $CUTOVER_SHARED, which outlives releases, or link the file with `shared:` and `path:` in cutover.yml.";
const network = "The machine cannot reach that address: check the name, its DNS, a firewall and a proxy.";
const elsewhere =
  "The command runs in the workflow, which has no such service: let the settings connect only when they need it, or start the service in the job (`services:`).";
const variable = "Set it on the host with `cutover env set {app} {1}`, or in `env` of cutover.yml if it is no secret.";
const runnerVariable =
  "Give the settings a default for it, or set it in `env` of this step: the command runs in the workflow.";

/**
 * The first hint that matches is used, so the exact ones come first. Each example stands in the tests' recorded outputs of the
 * real programs.
 */
const pythonHints: Hint[] = [
  {
    id: "database-driver",
    pattern: /ImproperlyConfigured: Error loading (psycopg2?|MySQLdb|psycopg2 or psycopg) module/,
    fix: "Add the database's driver to the requirements: psycopg for PostgreSQL, mysqlclient for MySQL.",
    example: "ImproperlyConfigured: Error loading psycopg2 module: No module named 'psycopg2'",
  },
  {
    id: "static-root",
    pattern: /ImproperlyConfigured: You're using the staticfiles app without having set the STATIC_ROOT/,
    fix: 'Set STATIC_ROOT in the settings, for example `STATIC_ROOT = BASE_DIR / "staticfiles"`, and name that folder in `static.from`.',
    example:
      "ImproperlyConfigured: You're using the staticfiles app without having set the STATIC_ROOT setting to a filesystem path.",
  },
  {
    id: "django-secret-key",
    pattern: /ImproperlyConfigured: The (SECRET_KEY) setting must not be empty/,
    fix: variable,
    runnerFix: runnerVariable,
    example: "ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
  },
  {
    id: "setting-variable",
    pattern:
      /(?:ImproperlyConfigured|UndefinedValueError)\b.*?\b(?:Set the )?([A-Z][A-Z0-9_]{2,}) (?:environment variable|not found)/,
    fix: variable,
    runnerFix: runnerVariable,
    example: "ImproperlyConfigured: Set the DATABASE_URL environment variable",
  },
  {
    id: "starlette-variable",
    pattern: /^KeyError: "Config '([A-Z][A-Z0-9_]*)' is missing/,
    cause: "The environment has no variable {1}: {line}",
    fix: variable,
    runnerFix: runnerVariable,
    example: "KeyError: \"Config 'API_TOKEN' is missing, and has no default.\"",
  },
  {
    // Pydantic reads the environment by the names of a settings class, with any capital letters.
    id: "settings-class",
    pattern: /ValidationError: \d+ validation errors? for \w*(?:[Ss]etting|[Cc]onf|[Ee]nv)\w*: (\w+) [Ff]ield required/,
    cause: "The environment has no variable {variable}: {line}",
    fix: "Set it on the host with `cutover env set {app} {variable}`, or in `env` of cutover.yml if it is no secret; with an `env_prefix` it begins with that.",
    runnerFix: runnerVariable,
    example:
      "ValidationError: 1 validation error for Settings: secret_key Field required [type=missing, input_value={}, input_type=dict]",
  },
  {
    id: "missing-variable",
    pattern: /^KeyError: '([A-Z][A-Z0-9_]*)'/,
    cause: "The environment has no variable {1}: {line}",
    fix: variable,
    runnerFix: runnerVariable,
    example: "KeyError: 'SECRET_KEY'",
  },
  {
    // As settings say it in their own words: "Missing environment variables: NAME", "NAME env variable must be set".
    id: "variable-in-words",
    pattern:
      /^(?=.*\b(?:[Nn]ot|[Mm]issing|[Mm]ust|[Rr]equired|undefined|unset)\b)(?!.*DJANGO_SETTINGS_MODULE)\w*(?:Error|Exception|ImproperlyConfigured): .*?(?:\b([A-Z][A-Z0-9_]{2,})['"`]? (?:environment|env) var|\b(?:[Ee]nvironment|[Ee]nv) var(?:iable)?s?:? ['"`]?([A-Z][A-Z0-9_]{2,})\b)/,
    cause: "The environment has no variable {1}: {line}",
    fix: variable,
    runnerFix: runnerVariable,
    example: "RuntimeError: Missing required environment variables: SECRET_KEY, DATABASE_URL",
  },
  {
    id: "server-application-module",
    pattern: /Error loading ASGI app\. Could not import module "([^"]+)"/,
    fix: "Correct `server.app` in cutover.yml: it names the module {1}, which the release does not have.",
    example: 'ERROR:    Error loading ASGI app. Could not import module "nomod".',
  },
  {
    id: "server-application",
    pattern:
      /Failed to find (?:attribute|application object):? '([^']+)'|Error loading ASGI app\. Attribute "([^"]+)" not found|Failed to parse '([^']+)' as an attribute/,
    fix: "Correct `server.app` in cutover.yml: it is `module:name`, and the module must define that name.",
    example: "Failed to find attribute 'app' in 'good'.",
  },
  {
    id: "celery-application",
    pattern: /The module (\S+) was not found\.|Module '([^']+)' has no attribute 'celery'/,
    fix: "Correct `-A` in the process's command: it names the module that makes the Celery application.",
    example: "The module nomod was not found.",
  },
  {
    id: "name-in-module",
    pattern: /ImportError: cannot import name '\w+' from '([\w.]+)'/,
    fix: "The installed version of {1} has no such name: pin the version in the requirements that the project was written for.",
    example:
      "ImportError: cannot import name 'url' from 'django.conf.urls' (/usr/lib/python3/dist-packages/django/conf/urls/__init__.py)",
  },
  {
    id: "no-such-command",
    pattern: /(?:^|: )([\w./-]+): (?:command )?not found$/,
    fix: "Install {1}, or correct the command. Programs of the requirements are in the release's environment.",
    runnerFix: "Install {1} in a step before this one (`npm ci` for what package.json names), or correct the command.",
    example: "sh: 1: no_such_tool: not found",
  },
  {
    id: "known-django-command",
    pattern: /^Unknown command: '(collectstatic|createsuperuser|changepassword|clearsessions|compress|compilescss)'/,
    fix: "INSTALLED_APPS of the settings in use lacks the app that has {1}: django.contrib.staticfiles for collectstatic, django.contrib.auth or sessions for users and sessions. See DJANGO_SETTINGS_MODULE too.",
    example: "Unknown command: 'collectstatic'",
  },
  {
    id: "unknown-django-command",
    pattern: /^Unknown command: '(\w+)'/,
    fix: "Correct the command, or add the app that has it to INSTALLED_APPS.",
    example: "Unknown command: 'frobnicate'",
  },
  {
    id: "env-file",
    pattern: /^FileNotFoundError: \[Errno 2\] No such file or directory: '([^']*\.env\b[^'/]*)'/,
    cause: "The release has no {1}, and secrets do not belong into the repository: {line}",
    fix: "Set each of its variables with `cutover env set {app} NAME`, and let {place} read the environment if the file is not there.",
    runnerFix:
      "Set its variables in `env` of this step, and let {place} read the environment if the file is not there.",
    example: "FileNotFoundError: [Errno 2] No such file or directory: '.env'",
  },
  {
    id: "missing-file",
    pattern: /^FileNotFoundError: \[Errno 2\] No such file or directory: '([^']+)'/,
    fix: "The release has no such file: commit it, see `exclude` in cutover.yml, or use a path in $CUTOVER_SHARED.",
    runnerFix: "Correct the path, or make the file in a step before this one.",
    example: "FileNotFoundError: [Errno 2] No such file or directory: '/etc/shadow2/x'",
  },
  {
    id: "missing-distribution",
    pattern:
      /DistributionNotFound: The '([\w.-]+)(?![\w.-])\S*' distribution was not found|PackageNotFoundError: (?:No package metadata was found for )?(\S+)/,
    fix: "Add {1} to the requirements. If that is the project itself, install it too: write `.` into the requirements.",
    runnerFix: "Install the project's requirements in a step before this one: the command runs in the workflow.",
    example: "DistributionNotFound: The 'celery' distribution was not found and is required by the application",
  },
  {
    id: "missing-extra",
    pattern: /(?<![\w.-])([\w.-]+)"? (?:to be|must be) installed/,
    fix: "Add {1} to the requirements.",
    runnerFix: "Add {1} to the requirements, and install them in a step before this one.",
    example: 'RuntimeError: Form data requires "python-multipart" to be installed.',
  },
  {
    id: "missing-module",
    pattern: /^(?:ModuleNotFoundError: |ImportError: )?.*No module named '?([\w.]+)'?/,
    fix: "Add {package} to the requirements. If {1} is the project's own, correct its name, or see `exclude` in cutover.yml; if it lies in a folder such as src/, write `PYTHONPATH: src` into `env` there.",
    runnerFix:
      "Install the project's requirements in a step before this one: the command runs in the workflow. If {1} is the project's own, correct its name.",
    example: "ModuleNotFoundError: No module named 'stripe'",
  },
  {
    id: "no-django",
    pattern: /Couldn't import Django/,
    fix: "Add Django to the requirements.",
    runnerFix: "Install the project's requirements in a step before this one: the command runs in the workflow.",
    example:
      "ImportError: Couldn't import Django. Are you sure it's installed and available on your PYTHONPATH environment variable? Did you forget to activate a virtual environment?",
  },
  {
    id: "readonly-database",
    pattern: /unable to open database file|attempt to write a readonly database/,
    cause: "SQLite cannot open its file for writing: {line}",
    fix: "See NAME in DATABASES. A release is read-only: put the file into $CUTOVER_SHARED, or link it with `shared:` and `path:` in cutover.yml. Elsewhere on the host, its folder must exist and belong to the app's user.",
    example: "OperationalError: unable to open database file",
  },
  {
    id: "manifest-entry",
    pattern: /Missing staticfiles manifest entry for '([^']+)'/,
    fix: "collectstatic did not collect {1}: correct the name in the template, or add the file. `static.collect` must run with the same settings.",
    example: "ValueError: Missing staticfiles manifest entry for 'shop/site.css'",
  },
  {
    id: "address-in-use",
    pattern: /address already in use/i,
    fix: "Another program, or the app's other instance, has that address: let the app listen where `{socket}` or `{port}` of `server.command` says, and nowhere else.",
    example: "OSError: [Errno 98] Address already in use",
  },
  {
    id: "read-only",
    pattern: /(?:PermissionError|OSError): \[Errno (?:13|30)\] (?:Permission denied|Read-only file system): '([^']*)'/,
    cause: "The app may not write {1}, because a release is read-only: {line}",
    fix: write,
    runnerFix: "The command may not write there: correct the path.",
    example: "PermissionError: [Errno 13] Permission denied: '/proc/version'",
  },
  {
    id: "prompt",
    pattern: /EOFError: EOF when reading a line/,
    cause: "The command asks a question, and nobody can answer: {line}",
    fix: "Give it the option that answers, such as `--noinput`.",
    example: "EOFError: EOF when reading a line",
  },
  {
    id: "certificate",
    pattern: /CERTIFICATE_VERIFY_FAILED/,
    fix: "The machine does not trust that server's certificate: install the certificate authority, or set SSL_CERT_FILE.",
    example:
      "URLError: <urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)>",
  },
  {
    id: "name-resolution",
    pattern: /Name or service not known|Temporary failure in name resolution|Could not resolve host/,
    fix: network,
    runnerFix: elsewhere,
    example: "URLError: <urlopen error [Errno -2] Name or service not known>",
  },
  {
    id: "connection-refused",
    pattern: /Connection refused/,
    fix: "Nothing listens at that address: start that service, or correct the address in the app's environment (`cutover env list {app}`).",
    runnerFix: elsewhere,
    example: "URLError: <urlopen error [Errno 111] Connection refused>",
  },
  {
    id: "killed-workers",
    pattern: /was (?:terminated due to signal 9|sent SIGKILL)|DAMN ! worker .* died, killed by signal 9|Killed$/,
    anywhere: "always",
    cause: "Its workers are killed by signal 9: {line}",
    fix: "Most often the host has too little memory for them: look at `dmesg | grep -i oom`, then lower `server.workers` or `server.instances`, or add memory.",
    example: "[2026-11-26 18:13:34 +0000] [21649] [WARNING] Worker with pid 21844 was terminated due to signal 9",
  },
  {
    id: "disk-full",
    pattern: /No space left on device/,
    anywhere: "always",
    fix: "Free disk space, then run it again.",
    example: "OSError: [Errno 28] No space left on device",
  },
];

/** What is known of a kind of error when nothing is known of the error itself. */
const lastHints: Hint[] = [
  {
    id: "django-settings",
    pattern: /^ImproperlyConfigured: /,
    fix: "Django says what its settings lack or have wrong: correct them. A value may come from the environment: see `cutover env list {app}` and `env` in cutover.yml.",
    runnerFix:
      "Django says what its settings lack or have wrong: correct them. A value may come from `env` of this step.",
    example: "ImproperlyConfigured: The app module <module 'blog' (namespace)> has multiple filesystem locations",
  },
];

export const hints: Hint[] = [
  ...systemHints,
  ...stdlibHints,
  ...databaseHints,
  ...frameworkHints,
  ...serverHints,
  ...settingsHints,
  ...pythonHints,
  ...pipHints,
  ...toolHints,
  ...lastHints,
];
