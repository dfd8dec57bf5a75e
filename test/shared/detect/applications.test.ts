import { expect, test } from "vitest";
import { detectKind } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";
import { asgi, django, factory, fastapi, flask, manage, type Row, wsgi } from "./texts.ts";

const applications: Row[] = [
  [
    "def application(environ, start_response)",
    { "site.py": "def application(environ, start_response):\n    return [b'x']\n" },
    { kind: "gunicorn", app: "site:application" },
  ],
  [
    "an ASGI function",
    { "main.py": "async def app(scope, receive, send):\n    pass\n" },
    { kind: "uvicorn", app: "main:app" },
  ],
  [
    "an alias of a WSGI function",
    { "wsgi.py": "def hello(environ, start_response):\n    return []\n\n\napp = hello\n" },
    { kind: "gunicorn", app: "wsgi:app" },
  ],
  [
    "a class with __call__",
    {
      "web.py":
        "class App:\n    def __call__(self, environ, start_response):\n        return []\n\napplication = App()\n",
    },
    { kind: "gunicorn", app: "web:application" },
  ],
  [
    "a Flask factory in a package's __init__.py",
    { "shop/__init__.py": factory, "requirements.txt": "flask\n" },
    { kind: "gunicorn", app: "shop:create_app()" },
    { extra: ["gunicorn"] },
  ],
  [
    "a Flask factory in src",
    {
      "src/shop/__init__.py": factory,
      "pyproject.toml": '[project]\nname="shop"\ndependencies=["flask", "gunicorn"]\n',
    },
    { kind: "gunicorn", app: "shop:create_app()" },
    { env: { PYTHONPATH: "src" } },
  ],
  [
    "Flask behind ProxyFix",
    {
      "web.py":
        "from flask import Flask\nfrom werkzeug.middleware.proxy_fix import ProxyFix\nserver = ProxyFix(Flask(__name__))\n",
    },
    { kind: "gunicorn", app: "web:server" },
  ],
  [
    "a subclass of Flask",
    { "web.py": "import flask\nclass Shop(flask.Flask):\n    pass\napp = Shop(__name__)\n" },
    { kind: "gunicorn", app: "web:app" },
  ],
  [
    "an application in a conditional",
    {
      "web.py":
        "import os\nfrom flask import Flask\nif os.environ.get('X'):\n    app = Flask('a')\nelse:\n    app = Flask('b')\n",
    },
    { kind: "gunicorn", app: "web:app" },
  ],
  [
    "FastAPI by a factory with defaults",
    {
      "svc/app.py":
        "import fastapi\ndef get_app(debug: bool = False) -> fastapi.FastAPI:\n    application = fastapi.FastAPI()\n    return application\n",
      "svc/__init__.py": "",
      "requirements.txt": "fastapi\nuvicorn\n",
    },
    { kind: "uvicorn", app: "svc.app:get_app()" },
  ],
  [
    "Starlette",
    { "main.py": "from starlette.applications import Starlette\napp = Starlette(routes=[])\n" },
    { kind: "uvicorn", app: "main:app" },
  ],
  [
    "Quart",
    { "main.py": "from quart import Quart\napp = Quart(__name__)\n", "requirements.txt": "quart\nhypercorn\n" },
    { kind: "hypercorn", app: "main:app" },
  ],
  [
    "Litestar",
    {
      "app.py": "from litestar import Litestar, get\napp = Litestar([])\n",
      "requirements.txt": "litestar[standard]\n",
    },
    { kind: "uvicorn", app: "app:app" },
    { extra: [] },
  ],
  [
    "Sanic",
    { "server.py": "from sanic import Sanic\napp = Sanic('shop')\n", "requirements.txt": "sanic\n" },
    { kind: "uvicorn", app: "server:app" },
    { extra: ["uvicorn"] },
  ],
  [
    "Falcon",
    {
      "look/app.py": "import falcon\ndef create_app():\n    app = falcon.App()\n    return app\n",
      "look/__init__.py": "",
      "requirements.txt": "falcon\n",
    },
    { kind: "gunicorn", app: "look.app:create_app()" },
  ],
  [
    "Falcon with ASGI",
    { "app.py": "import falcon.asgi\napp = falcon.asgi.App()\n" },
    { kind: "uvicorn", app: "app:app" },
  ],
  [
    "Bottle by its default application",
    {
      "site.py":
        "import bottle\n@bottle.route('/')\ndef index():\n    return 'x'\napplication = bottle.default_app()\n",
    },
    { kind: "gunicorn", app: "site:application" },
  ],
  [
    "Pyramid",
    {
      "app.py":
        "from pyramid.config import Configurator\nwith Configurator() as config:\n    config.add_route('x', '/')\n    app = config.make_wsgi_app()\n",
    },
    { kind: "gunicorn", app: "app:app" },
  ],
  [
    "Dash",
    {
      "app.py": "from dash import Dash\napp = Dash(__name__)\nserver = app.server\n",
      "requirements.txt": "dash\ngunicorn\n",
    },
    { kind: "gunicorn", app: "app:server" },
  ],
  [
    "CherryPy",
    {
      "web.py": "import cherrypy\nclass Root:\n    pass\napplication = cherrypy.Application(Root(), '/')\n",
      "requirements.txt": "cherrypy\n",
    },
    { kind: "gunicorn", app: "web:application" },
  ],
  ["aiohttp", { "web.py": "from aiohttp import web\napp = web.Application()\n" }, { kind: "aiohttp", app: "web:app" }],
  [
    "Tornado that reads PORT",
    {
      "web.py":
        "import os\nimport tornado.web, tornado.ioloop\nif __name__ == '__main__':\n    tornado.web.Application([]).listen(int(os.environ.get('PORT', 8888)))\n",
    },
    { kind: "tornado", command: "env PORT={port} python web.py", bind: "port" },
  ],
  [
    "an asgi package of Django with channels",
    {
      ...django,
      "site1/asgi.py": asgi
        .replace(
          "application = get",
          "from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({'http': get",
        )
        .replace("application()\n", "application()})\n"),
      "requirements.txt": "django\nchannels\ndaphne\n",
    },
    { kind: "daphne", app: "site1.asgi:application" },
  ],
  [
    "Django with the configuration in a folder of its own",
    {
      "manage.py": manage.replace("site1.settings", "config.settings.local"),
      "config/__init__.py": "",
      "config/settings/local.py": "",
      "config/settings/production.py": "",
      "config/wsgi.py": wsgi.replace("site1.settings", "config.settings.production"),
      "requirements.txt": "django\ngunicorn\n",
    },
    { kind: "gunicorn", app: "config.wsgi:application" },
  ],
  [
    "requirements in UTF-16, as PowerShell writes them",
    { "app.py": flask, "requirements.txt": "\ufefff\0l\0a\0s\0k\0\n\0g\0u\0n\0i\0c\0o\0r\0n\0" },
    { kind: "gunicorn", app: "app:app" },
    { extra: [] },
  ],
  [
    "requirements in a folder",
    { "app.py": flask, "requirements/base.txt": "flask\n", "requirements/prod.txt": "-r base.txt\nuwsgi\n" },
    { kind: "uwsgi", app: "app:app" },
  ],
  [
    "Poetry",
    {
      "app.py": flask,
      "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.12"\nflask = "*"\nwaitress = "*"\n',
    },
    { kind: "waitress", app: "app:app", threads: 4 },
  ],
  [
    "Pipfile",
    { "app.py": fastapi, Pipfile: '[packages]\nfastapi = "*"\nuvicorn = {extras = ["standard"], version = "*"}\n' },
    { kind: "uvicorn", app: "app:app" },
  ],
  [
    "a file that this Python cannot parse beside it",
    { "app.py": flask, "old.py": "print 'flask app'\n" },
    { kind: "gunicorn", app: "app:app" },
  ],
  [
    "an example beside it",
    { "app.py": flask, "examples/app.py": fastapi, "tests/conftest.py": flask },
    { kind: "gunicorn", app: "app:app" },
  ],
];

test.each(applications)("%s", (_, files, server, rest = {}) => {
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: true, server, ...rest });
});

test("several applications are a question with a command line for each", () => {
  const found = detectKind(
    projectOf({ "app.py": flask, "main.py": fastapi, "requirements.txt": "flask\nfastapi\ngunicorn\nuvicorn\n" }),
  );
  expect(found).toMatchObject({
    found: false,
    candidates: [
      { kind: "gunicorn", app: "app:app" },
      { kind: "uvicorn", app: "main:app" },
    ],
  });
});

test("a function that needs arguments is told, and not called", () => {
  const files = {
    "shop/__init__.py": "from flask import Flask\ndef create_app(config_name):\n    return Flask(config_name)\n",
    "requirements.txt": "flask\ngunicorn\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: false,
    candidates: [{ app: "shop:create_app()", caution: expect.stringContaining("needs `config_name`") }],
  });
  const called = detectKind(projectOf({ ...files, Procfile: `web: gunicorn "shop:create_app('production')"\n` }));
  expect(called).toMatchObject({ found: true, server: { app: "shop:create_app('production')" } });
});
