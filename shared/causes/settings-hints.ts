import type { Hint } from "./hint.ts";

/** Of values that settings, files and command lines give to a program. */
export const settingsHints: Hint[] = [
  {
    id: "time-zone",
    pattern: /Incorrect timezone setting: (\S+)|No time zone found with key (\S+)/,
    fix: "There is no time zone {1}: correct TIME_ZONE, such as Europe/Berlin. If the name is right, the host lacks the list of zones: add tzdata to the requirements.",
    example: "ValueError: Incorrect timezone setting: Europe/Moskau",
  },
  {
    id: "log-file",
    pattern: /^(?:FileNotFoundError|PermissionError|OSError): \[Errno \d+\] [\w -]+: '([^']+\.log(?:\.\w+)?)'/,
    cause: "The log file {1} cannot be opened: {line}",
    fix: "Log to the console (`logging.StreamHandler`): supervisor keeps that, and `cutover logs {app}` shows it. Or let the file lie in $CUTOVER_SHARED, in a folder that exists.",
    runnerFix:
      "Log to the console (`logging.StreamHandler`), or to a folder that exists here too: the command runs in the workflow.",
    example: "FileNotFoundError: [Errno 2] No such file or directory: '/var/log/shop/django.log'",
  },
  {
    id: "app-labels",
    pattern: /Application labels aren't unique, duplicates: (\w+)/,
    fix: "INSTALLED_APPS has two apps with the label {1}: take one out, or give yours another `label` in its AppConfig.",
    example: "ImproperlyConfigured: Application labels aren't unique, duplicates: auth",
  },
  {
    id: "app-config-name",
    pattern: /Cannot import '([\w.]+)'\. Check that '([\w.]+)\.name' is correct/,
    fix: "{2} says `name = '{1}'`, and there is no such module: write the app's whole module name there, as INSTALLED_APPS has it.",
    example: "ImproperlyConfigured: Cannot import 'apps.blog'. Check that 'blog.apps.BlogConfig.name' is correct.",
  },
  {
    id: "model-not-installed",
    pattern: /Model class (\S+)\.\w+ doesn't declare an explicit app_label/,
    fix: "Add the app that has {1} to INSTALLED_APPS in the settings that this host uses. If it is there, import the model by the same module name.",
    example:
      "RuntimeError: Model class shop.models.Item doesn't declare an explicit app_label and isn't in an application in INSTALLED_APPS.",
  },
  {
    id: "no-app-label",
    pattern: /No installed app with label '(\w+)'/,
    fix: "INSTALLED_APPS of the settings that this host uses has no {1}: add it, correct the command, or see DJANGO_SETTINGS_MODULE in `env` of cutover.yml.",
    example: "CommandError: No installed app with label 'blog'.",
  },
  {
    id: "system-library",
    pattern: /Could not find the (GDAL|GEOS|SpatiaLite) library/i,
    fix: "GeoDjango needs the system library {1}: install it on the host (`apt install gdal-bin libgeos-c1v5 libsqlite3-mod-spatialite`); where it lies elsewhere, set GDAL_LIBRARY_PATH or GEOS_LIBRARY_PATH.",
    runnerFix:
      "GeoDjango needs the system library {1}: run `sudo apt-get install -y gdal-bin` in a step before this one.",
    example: 'ImproperlyConfigured: Could not find the GDAL library (tried "gdal", "GDAL").',
  },
  {
    id: "database-engine-missing",
    pattern: /settings\.DATABASES is improperly configured\. Please supply the (\w+)/,
    fix: "DATABASES in the settings is empty or has no {1}, most often because the variable that it is read from (such as DATABASE_URL) is not set: `cutover env list {app}`, then `cutover env set {app} DATABASE_URL`.",
    runnerFix:
      "DATABASES in the settings is empty or has no {1}: give it a default, or set the variable that it is read from in `env` of this step.",
    example:
      "ImproperlyConfigured: settings.DATABASES is improperly configured. Please supply the ENGINE value. Check settings documentation for more details.",
  },
  {
    id: "middleware-missing",
    pattern: /'(?:WSGI|ASGI)Request' object has no attribute '(session|user|_messages|csp_nonce|htmx|tenant|site)'/,
    fix: "A middleware sets request.{1}, and MIDDLEWARE in the settings lacks it (for session django.contrib.sessions.middleware.SessionMiddleware, for user django.contrib.auth.middleware.AuthenticationMiddleware after it).",
    example: "AttributeError: 'WSGIRequest' object has no attribute 'session'",
  },
  {
    id: "migration-state",
    pattern: /^KeyError: \('(\w+)', '(\w+)'\)/,
    cause: "A migration changes the model {2} of {1}, which no migration before it has made: {line}",
    fix: "Correct the model's name in that migration, or its `dependencies`: `python manage.py migrate --plan` shows the order, and fails in the same way.",
    example: "KeyError: ('blog', 'postt')",
  },
  {
    id: "migration-circle",
    pattern: /^CircularDependencyError: (.+)/,
    fix: "These migrations wait for each other: correct `dependencies` in one of {1}.",
    example: "CircularDependencyError: blog.0001_initial, blog.0002_b",
  },
  {
    id: "redis-address",
    pattern: /Redis URL must specify one of the following schemes/,
    fix: "An address of Redis begins with redis://, such as redis://127.0.0.1:6379/0: correct it at {place}, in `env` of cutover.yml or by `cutover env set {app} REDIS_URL`.",
    example: "ValueError: Redis URL must specify one of the following schemes (redis://, rediss://, unix://)",
  },
  {
    id: "fernet-key",
    pattern: /Fernet key must be 32 url-safe base64-encoded bytes/,
    value: true,
    fix: 'The key that {place} gets is no Fernet key: `python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"` makes one. Set it with `cutover env set {app} NAME`.',
    example: "ValueError: Fernet key must be 32 url-safe base64-encoded bytes.",
  },
  {
    id: "yaml-file",
    pattern: /^\s*in "([^"<]+)", line (\d+)/,
    anywhere: "first",
    with: /^(?:[\w.]+\.)?(?:Scanner|Parser|Composer|Constructor)Error/,
    cause: "The YAML file {1} is wrong in line {2}",
    fix: "Correct {1}, line {2}, and deploy again.",
    example: 'yaml.scanner.ScannerError: mapping values are not allowed here\n  in "config.yml", line 1, column 15',
  },
  {
    id: "command-wants",
    pattern:
      /error: the following arguments are required: (.+)|^Error: Missing (?:option|argument|parameter):? '?([\w -]+)/,
    fix: "The command wants {1}: add it to the command in cutover.yml.",
    example: "serve.py: error: the following arguments are required: --config",
  },
];
