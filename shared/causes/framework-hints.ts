import type { Hint } from "./hint.ts";

/** Of Django and Flask, apart from what both sides have in common. */
export const frameworkHints: Hint[] = [
  {
    id: "migrations-conflict",
    pattern: /Conflicting migrations detected/,
    fix: "Two branches have each added a migration: run `python manage.py makemigrations --merge`, commit and push.",
    example:
      "CommandError: Conflicting migrations detected; multiple leaf nodes in the migration graph: (0001_a, 0001_b in shopapp).",
  },
  {
    id: "migration-missing",
    pattern: /NodeNotFoundError: Migration \S+ dependencies reference nonexistent parent node \(([^)]+)\)/,
    fix: "The repository lacks the migration {1}: commit it. See .gitignore, and `exclude` in cutover.yml.",
    example:
      "NodeNotFoundError: Migration shopapp.0001_a dependencies reference nonexistent parent node ('shopapp', '0009_gone')",
  },
  {
    id: "system-check",
    pattern: /^\S+: \(\w+\.E\d+\) .+/,
    anywhere: "always",
    fix: "Correct what Django's own check says. `python manage.py check` says the same before you push.",
    example: "shopapp.Item.name: (fields.E120) CharFields must define a 'max_length' attribute.",
  },
  {
    id: "django-unconfigured",
    pattern: /settings are not configured/,
    fix: "Set DJANGO_SETTINGS_MODULE in `env` of cutover.yml, such as `shop.settings`.",
    example:
      "ImproperlyConfigured: Requested setting INSTALLED_APPS, but settings are not configured. You must either define the environment variable DJANGO_SETTINGS_MODULE or call settings.configure() before accessing settings.",
  },
  {
    id: "apps-not-ready",
    pattern: /AppRegistryNotReady/,
    fix: "Models are imported before Django is set up: in wsgi.py or asgi.py call `get_wsgi_application()` or `get_asgi_application()` before such imports; in a script, `django.setup()`.",
    example: "AppRegistryNotReady: Apps aren't loaded yet.",
  },
  {
    id: "database-engine",
    pattern: /'([\w.]+)' isn't an available database backend/,
    fix: "Correct ENGINE in DATABASES of the settings: django.db.backends.postgresql, mysql, oracle or sqlite3, or the module of a package in the requirements.",
    example:
      "ImproperlyConfigured: 'django.db.backends.postgres' isn't an available database backend or couldn't be imported.",
  },
  {
    id: "template-missing",
    pattern: /TemplateDoesNotExist: (\S+)/,
    fix: "The release has no template {1}: correct its name (Linux tells capital letters apart), commit it, and see TEMPLATES, INSTALLED_APPS and `exclude` in cutover.yml.",
    example: "TemplateDoesNotExist: shop/home.html",
  },
  {
    id: "jinja-template",
    pattern: /^TemplateNotFound: (\S+)/,
    fix: "The release has no template {1}: correct its name (Linux tells capital letters apart), commit it below the application's `templates`, and see `exclude` in cutover.yml.",
    example: "TemplateNotFound: index.html",
  },
  {
    id: "flask-secret-key",
    pattern: /no secret key was set/,
    fix: 'Write `app.secret_key = os.environ["SECRET_KEY"]` into the application, and run `cutover env set {app} SECRET_KEY` on the host.',
    example:
      "RuntimeError: The session is unavailable because no secret key was set.  Set the secret_key on the application to something unique and secret.",
  },
  {
    id: "no-such-url",
    pattern: /NoReverseMatch: (?:Reverse for '([^']*)'|'([^']+)' is not a registered namespace)/,
    fix: "No URL has the name {1}: correct it in the view or the template, or add it to urls.py.",
    example: "NoReverseMatch: Reverse for 'home' not found. 'home' is not a valid view function or pattern name.",
  },
  {
    id: "urls-empty",
    pattern: /The included URLconf '(?:<module ')?([^']+)'.* does not appear to have any patterns/,
    fix: "{1} has no list `urlpatterns`, or imports itself in a circle: correct that module.",
    example:
      "ImproperlyConfigured: The included URLconf '<module 'shopapp.urls' from '/srv/app/shopapp/urls.py'>' does not appear to have any patterns in it.",
  },
  {
    id: "static-reference",
    pattern: /The file '([^']+)' could not be found with </,
    fix: "A style sheet or a script refers to {1}, which is not among the static files: correct the reference, add the file, or build the front end before `collect`.",
    example:
      "ValueError: The file 'gone.png' could not be found with <django.contrib.staticfiles.storage.ManifestStaticFilesStorage object at 0x7f3fbbbcdad0>.",
  },
  {
    id: "fixture-missing",
    pattern: /No fixture named '([^']+)' found/,
    fix: "The release has no fixture {1}: commit it, or correct its name.",
    example: "CommandError: No fixture named 'first' found.",
  },
  {
    id: "superuser",
    pattern: /Superuser creation skipped due to not running in a TTY/,
    anywhere: "if nothing else",
    fix: "Take it out of the command. When the release is live, make the user once by hand on the host: `cutover exec {app} -- python manage.py createsuperuser`.",
    example:
      "Superuser creation skipped due to not running in a TTY. You can run `manage.py createsuperuser` in your project to create one manually.",
  },
  {
    id: "flask-app",
    pattern: /^Error: (?:Could not import '([^']+)'|Could not locate a Flask application)/,
    fix: "Flask does not find the application: set FLASK_APP in `env` of cutover.yml to the module that has it.",
    example: "Error: Could not import 'nomod'.",
  },
  {
    id: "click-command",
    pattern: /^Error: No such command '([^']+)'/,
    fix: "Correct the command, or add the package that has {1} to the requirements (Flask-Migrate has `db`).",
    example: "Error: No such command 'db'.",
  },
  {
    id: "no-locale-folder",
    pattern: /This script should be run from the Django Git checkout/,
    fix: "The project has no folder `locale` with messages where the command runs: make it with `makemessages`, or set LOCALE_PATHS in the settings.",
    example:
      "CommandError: This script should be run from the Django Git checkout or your project or app tree, or with the settings module specified.",
  },
  {
    id: "no-gettext",
    pattern: /Can't find (msgfmt|msguniq|xgettext|msgmerge)/,
    fix: "{1} is part of GNU gettext: run `sudo apt-get install -y gettext` in a step before this one.",
    example: "CommandError: Can't find msgfmt. Make sure you have GNU gettext tools 0.15 or newer installed.",
  },
];
