/** Files that several projects of these tests have. */

export const flask = "from flask import Flask\napp = Flask(__name__)\n";
export const factory =
  "from flask import Flask\ndef create_app(config=None):\n    app = Flask(__name__)\n    return app\n";
export const fastapi = "from fastapi import FastAPI\napp = FastAPI()\n";
export const manage = `import os\nfrom django.core.management import execute_from_command_line\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\n`;
export const wsgi = `import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\napplication = get_wsgi_application()\n`;
export const asgi = `import os\nfrom django.core.asgi import get_asgi_application\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\napplication = get_asgi_application()\n`;
export const django = {
  "manage.py": manage,
  "site1/__init__.py": "",
  "site1/settings.py": "DEBUG = False\n",
  "site1/wsgi.py": wsgi,
  "site1/asgi.py": asgi,
};

/** A project by its files, and what serves it. */
export type Row = [
  name: string,
  files: Record<string, string>,
  server: object,
  rest?: { env?: object; extra?: string[] },
];
