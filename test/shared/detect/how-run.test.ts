import { expect, test } from "vitest";
import { detectKind, survey } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";

/** What says how a project is run, besides its applications: Makefiles, start scripts, settings, and what is missing. */

const flask = "from flask import Flask\napp = Flask(__name__)\n";

test("a Makefile's target says in which folder the server starts", () => {
  const files = {
    Makefile:
      "test:\n\tpytest\nrun-engine:\n\tcd src/apps/engine \\\n\t\t&& pipenv run gunicorn --reload web_app:app\n",
    "requirements.txt": "flask\ngunicorn\n",
    "src/apps/engine/web_app.py": `${flask}from parts.menu import menu\n`,
    "src/apps/engine/parts/menu.py": "menu = 1\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: true,
    server: { kind: "gunicorn", app: "web_app:app" },
    env: { PYTHONPATH: "src/apps/engine" },
  });
});

test("a script far below that imports what lies next to it is run there", () => {
  const files = {
    "requirements.txt": "flask\n",
    "src/apps/engine/web.py": `${flask}from parts.menu import menu\n`,
    "src/apps/engine/parts/menu.py": "menu = 1\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    server: { app: "web:app" },
    env: { PYTHONPATH: "src/apps/engine" },
  });
});

test("code that imports from src is run above it", () => {
  const files = {
    "requirements.txt": "flask\n",
    "src/shop/web.py": `${flask}import src.shop.menu\n`,
    "src/shop/menu.py": "menu = 1\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({ server: { app: "src.shop.web:app" }, env: {} });
});

test("a start script names the application with its routes", () => {
  const files = {
    "run_server.sh": "#!/bin/sh\ngunicorn --worker-class gevent site1.server:app\n",
    "requirements.txt": "flask\ngunicorn\n",
    "site1/__init__.py": flask,
    "site1/server.py": "from site1 import app\nimport site1.routes\n",
    "site1/routes.py": "",
  };
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server: { app: "site1.server:app" } });
});

test("settings that an imported class reads from the environment give the port", () => {
  const files = {
    "run.py":
      "import cherrypy\nfrom config.settings import get_settings\ndef main():\n    cherrypy.config.update({'server.socket_port': get_settings().PORT})\n    cherrypy.engine.start()\n",
    "config/__init__.py": "",
    "config/settings.py":
      "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    port: int = 8080\ndef get_settings():\n    return Settings()\n",
    "requirements.txt": "cherrypy\npydantic-settings\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: true,
    server: { kind: "command", command: "env PORT={port} python run.py", bind: "port" },
  });
});

test("a server with a fixed port is told, and not chosen", () => {
  const files = {
    "server.py": "import cherrypy\nclass Root: pass\nif __name__ == '__main__':\n    cherrypy.quickstart(Root())\n",
    "requirements.txt": "cherrypy\n",
  };
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: false, candidates: [{ kind: "command", bind: "port" }] });
  if (!found.found) expect(found.candidates[0]?.caution).toContain("server.py reads no port");
});

test("a script that makes asyncio's server itself is told, and not chosen", () => {
  const files = {
    "app.py":
      "import asyncio\nfrom aiohttp import web\nasync def init(loop):\n    app = web.Application()\n    return loop.create_server(app.make_handler(), 'x', 8000), app\nloop = asyncio.get_event_loop()\nserver, app = loop.run_until_complete(init(loop))\nloop.run_forever()\n",
    "requirements.txt": "aiohttp\n",
  };
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: false, candidates: [{ kind: "command" }] });
});

test("Pyramid's main gets its arguments from the .ini file of production", () => {
  const ini = "[app:main]\nuse = call:shop:main\n";
  const files = {
    "shop/__init__.py":
      "from pyramid.config import Configurator\ndef main(global_config, **settings):\n    config = Configurator(settings=settings)\n    return config.make_wsgi_app()\n",
    "development.ini": ini,
    "production.ini": ini,
    "requirements.txt": "pyramid\ngunicorn\n",
  };
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: true, server: { kind: "command" } });
  if (found.found) expect(found.server.command).toContain("gunicorn --paste production.ini");
  const egg = detectKind(projectOf({ ...files, "production.ini": ini.replace("call:shop:main", "egg:shop") }));
  expect(egg).toMatchObject({ found: false, candidates: [{ caution: expect.stringContaining("a line `.`") }] });
});

test("a script of aiohttp that reads its command line when it is imported is run as a script", () => {
  const files = {
    "entry.py":
      "import argparse\nimport aiohttp.web\nfrom demo import create_app\nparser = argparse.ArgumentParser()\nparser.add_argument('--port')\nargs = parser.parse_args()\napp = create_app(config={})\nif __name__ == '__main__':\n    aiohttp.web.run_app(app, port=args.port)\n",
    "demo/__init__.py": "from .app import create_app\n",
    "demo/app.py": "from aiohttp import web\nasync def create_app(config):\n    return web.Application()\n",
    "requirements.txt": "aiohttp\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({
    found: true,
    server: { kind: "aiohttp", command: "python entry.py --port={port}" },
  });
});

test("a project without requirements gets the framework that its files import", () => {
  expect(detectKind(projectOf({ "app.py": flask }))).toMatchObject({ found: true, extra: ["flask", "gunicorn"] });
});

test("a server that only tests need is not the project's", () => {
  const pyproject =
    '[project]\nname = "shelf"\nversion = "1"\ndependencies = ["flask"]\n[project.optional-dependencies]\ntest = ["waitress"]\n';
  const found = detectKind(projectOf({ "pyproject.toml": pyproject, "app.py": flask }));
  expect(found).toMatchObject({ found: true, server: { kind: "gunicorn" } });
});

test("a framework in the requirements that no file uses is named; so is a file that Python 3 cannot read", () => {
  const library = detectKind(projectOf({ "requirements.txt": "starlette\n", "shelf/__init__.py": "" }));
  expect(library).toMatchObject({ found: false, reasons: [expect.stringContaining("needs Starlette")] });
  const old = detectKind(projectOf({ "app.py": 'import tornado.web\nprint "old"\n' }));
  expect(old).toMatchObject({ found: false, reasons: [expect.stringContaining("cannot read app.py:2")] });
});

const django = {
  "manage.py":
    "import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
  "shop/__init__.py": "",
  "shop/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
  "requirements.txt": "django\ngunicorn\nuwsgi\n",
};

test("settings that no file names are those for production, or the base of all", () => {
  const base = {
    ...django,
    "shop/settings/__init__.py": "",
    "shop/settings/base.py": 'ROOT_URLCONF = "shop.urls"\nSTATIC_URL = "/static/"\n',
  };
  expect(survey(projectOf(base)).django?.settings).toMatchObject({ module: "shop.settings.base", unnamed: true });
  const live = { ...base, "shop/settings/production.py": "from .base import *\n" };
  expect(survey(projectOf(live)).django?.settings?.module).toBe("shop.settings.production");
});

test("the settings that uwsgi.ini names are those of the site", () => {
  const named = django["shop/wsgi.py"].replace(
    "application =",
    'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\napplication =',
  );
  const files = {
    ...django,
    "shop/wsgi.py": named,
    "shop/settings/__init__.py": 'ROOT_URLCONF = "shop.urls"\nSTATIC_URL = "/static/"\n',
    "shop/settings/prod.py": "from . import *\n",
    "uwsgi.ini":
      "[uwsgi]\nmodule = shop.wsgi\nenv = LANG=C.UTF-8\nenv = DJANGO_SETTINGS_MODULE=shop.settings.prod\nenv = A=b\n",
  };
  const { detection, django: found } = survey(projectOf(files));
  expect(detection).toMatchObject({ server: { kind: "uwsgi" }, env: { DJANGO_SETTINGS_MODULE: "shop.settings.prod" } });
  expect(found?.settings).toMatchObject({ module: "shop.settings.prod", from: "uwsgi.ini" });
});

test("a Celery worker names its module from the folder that is on Python's path", () => {
  const inner = Object.fromEntries(
    Object.entries(django).map(([path, text]) => [path === "requirements.txt" ? path : `shop/${path}`, text]),
  );
  const files = {
    ...inner,
    "requirements.txt": "django\ngunicorn\ncelery\n",
    "shop/shop/celery.py": 'from celery import Celery\napp = Celery("shop")\n',
  };
  expect(survey(projectOf(files)).processes).toMatchObject([
    { command: expect.stringContaining("celery -A shop worker") },
  ]);
});

test("the name of a setting is no log file", () => {
  const files = {
    "app.py": `${flask}import logging\nfrom conf import conf\nlogging.FileHandler(conf.get("general", "log-file"))\n`,
    "requirements.txt": "flask\n",
  };
  expect(projectOf(files).writes?.()).toEqual([]);
});

test.each([
  ["start.sh", "#!/bin/sh\nalembic upgrade head\nexec uvicorn main:app\n"],
  ["Makefile", "run:\n\talembic upgrade head && uvicorn main:app\n"],
])("what prepares the database in %s before the server is the release command", (file, text) => {
  const found = survey(
    projectOf({
      [file]: text,
      "requirements.txt": "fastapi\nuvicorn\nalembic\n",
      "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
    }),
  );
  expect(found.detection).toMatchObject({ found: true, server: { kind: "uvicorn", app: "main:app" } });
  expect(found.release).toMatchObject({ command: "alembic upgrade head" });
});

test("modules that all import all names of each other come to an end", () => {
  const names = Array.from({ length: 60 }, (_, index) => `part${index}`);
  const imports = names.map((name) => `from ${name} import *\n`).join("");
  const parts = Object.fromEntries(names.map((name) => [`${name}.py`, imports]));
  const files = { ...parts, "main.py": `${imports}app = application\n`, "requirements.txt": "flask\n" };
  expect(detectKind(projectOf(files))).toMatchObject({ found: false });
}, 30_000);
