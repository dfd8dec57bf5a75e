import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { projectIn } from "../../../agent/cli/project/project-directory.ts";
import { type DetectOptions, detectKind, type GivenServer } from "../../../shared/detect/detect.ts";
import { stacks } from "../../fixtures/stacks.ts";
import { projectOf } from "./project.ts";

test.each([...stacks.map((stack) => `stacks/${stack}`), "shop"])("the fixture %s", (fixture) => {
  const directory = `test/fixtures/${fixture}`;
  const { kind, app, command, bind } = parse(readFileSync(`${directory}/cutover.yml`, "utf8")).server;
  const detected = detectKind(projectIn(directory));
  const told = command?.replace(" --logging=warning", "");
  expect(detected).toMatchObject({
    found: true,
    server: { kind, ...(app && { app }), ...(told && { command: told, ...(bind && { bind }) }) },
  });
});

const manage = `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\nfrom django.core.management import x\n`;
const django = { "manage.py": manage, "shop/settings.py": "", "shop/wsgi.py": "", "shop/asgi.py": "" };
const flask = "from flask import Flask\napp = Flask(__name__)\n";
const fastapi = "from fastapi import FastAPI\n\napi: FastAPI = FastAPI()\n";
const tornado =
  'import tornado.web\nfrom tornado.options import define, options\ndefine("port", type=int)\ntornado.web.Application([]).listen(options.port)\n';
const aiohttp = "from aiohttp import web\n\ndef create_app():\n    return web.Application()\n";

test.each<[string, Record<string, string>, object]>([
  [
    "Django with gunicorn",
    { ...django, "requirements.txt": "Django==4.2\ngunicorn>=20\n" },
    { kind: "gunicorn", app: "shop.wsgi:application" },
  ],
  [
    "Django with uWSGI",
    { ...django, "requirements.txt": "django\nuWSGI\n" },
    { kind: "uwsgi", app: "shop.wsgi:application" },
  ],
  [
    "Django with uvicorn",
    { ...django, "requirements.txt": "django\nuvicorn[standard]\n" },
    { kind: "uvicorn", app: "shop.asgi:application" },
  ],
  ["Django without requirements", django, { kind: "gunicorn", app: "shop.wsgi:application" }],
  [
    "Django whose settings name another application",
    {
      ...django,
      "shop/settings.py": 'WSGI_APPLICATION = "web.entry.site"\n',
      "web/entry.py": "site = 1\n",
      "requirements.txt": "gunicorn",
    },
    { kind: "gunicorn", app: "web.entry:site" },
  ],
  [
    "Django with split settings",
    {
      ...django,
      "shop/settings.py": "",
      "manage.py": manage.replace("shop.settings", "shop.settings.production"),
      "shop/settings/base.py": 'WSGI_APPLICATION = "shop.deep.wsgi.application"\n',
      "shop/settings/production.py": "from .base import *\n",
      "shop/deep/wsgi.py": "application = 1\n",
    },
    { kind: "gunicorn", app: "shop.deep.wsgi:application" },
  ],
  [
    "requirements that are included",
    {
      ...django,
      "requirements.txt": "-r requirements/base.txt\n",
      "requirements/base.txt": "-r ../more.txt",
      "more.txt": "uwsgi",
    },
    { kind: "uwsgi", app: "shop.wsgi:application" },
  ],
  [
    "pyproject.toml",
    {
      ...django,
      "pyproject.toml":
        '[project]\nname = "shop"\ndependencies = [\n  "django>=4",\n  "gunicorn[gevent] ~= 20.1",\n]\n',
    },
    { kind: "gunicorn", app: "shop.wsgi:application" },
  ],
  [
    "uwsgi.ini",
    { "uwsgi.ini": "[uwsgi]\nmodule = shop.wsgi:app\n", "shop/wsgi.py": "app = 1\n" },
    { kind: "uwsgi", app: "shop.wsgi:app", config_file: "uwsgi.ini" },
  ],
  ["Flask", { "app.py": flask, "requirements.txt": "flask\ngunicorn" }, { kind: "gunicorn", app: "app:app" }],
  [
    "Flask behind wsgi.py",
    { "app.py": flask, "wsgi.py": "from app import app as application\n", "requirements.txt": "flask\nuwsgi" },
    { kind: "uwsgi", app: "wsgi:application" },
  ],
  [
    "Flask that is made by a function",
    {
      "main.py": "from flask import Flask\n\ndef create_app():\n    return Flask(__name__)\n",
      "requirements.txt": "gunicorn",
    },
    { kind: "gunicorn", app: "main:create_app()" },
  ],
  [
    "FastAPI in a package",
    { "shop/main.py": fastapi, "tests/main.py": fastapi, "requirements.txt": "fastapi" },
    { kind: "uvicorn", app: "shop.main:api" },
  ],
  ["Tornado", { "app.py": tornado }, { kind: "tornado", command: "python app.py --port={port}", bind: "port" }],
  ["aiohttp", { "main.py": aiohttp }, { kind: "aiohttp", app: "main:create_app" }],
  [
    "aiohttp that takes a path",
    { "main.py": `${aiohttp}parser.add_argument('--path')\n` },
    { kind: "aiohttp", command: "python main.py --path={socket}" },
  ],
])("%s", (_, texts, server) => {
  const detected = detectKind(projectOf(texts));
  expect(detected).toMatchObject({ found: true, server });
  if (detected.found) expect([detected.server, detected.why.length > 0]).toEqual([server, true]);
});

test.each<[string, Record<string, string>, GivenServer, object]>([
  [
    "a kind alone",
    { ...django, "requirements.txt": "gunicorn\nuwsgi" },
    { kind: "uwsgi" },
    { kind: "uwsgi", app: "shop.wsgi:application" },
  ],
  ["an application alone", { "requirements.txt": "gunicorn" }, { app: "x:y" }, { kind: "gunicorn", app: "x:y" }],
  ["a command", {}, { command: "./serve {socket}" }, { kind: "command" }],
  ["a command with Tornado", { "web.py": tornado }, { command: "python web.py --port={port}" }, { kind: "tornado" }],
  ["a command with aiohttp", { "a/b.py": aiohttp }, { command: ["python", "a/b.py", "{socket}"] }, { kind: "aiohttp" }],
])("%s is completed, and not contradicted", (_, texts, given, server) => {
  const detected = detectKind(projectOf(texts), given);
  expect(detected.found && detected.server).toEqual(server);
});

test.each<[string, Record<string, string>, GivenServer, DetectOptions, string[]]>([
  ["nothing", { "README.md": "" }, {}, {}, []],
  ["two servers", { ...django, "requirements.txt": "gunicorn\nuwsgi" }, {}, {}, ["gunicorn", "uwsgi"]],
  [
    "two applications",
    { "app.py": flask, "main.py": fastapi, "requirements.txt": "gunicorn\nuvicorn" },
    {},
    {},
    ["gunicorn", "uvicorn"],
  ],
  ["a client", { "main.py": "import aiohttp\n", "requirements.txt": "aiohttp" }, {}, {}, []],
  [
    "Tornado that listens where it likes",
    { "app.py": "import tornado.web\ntornado.web.Application([]).listen(8888)\n" },
    {},
    {},
    ["tornado"],
  ],
  ["Tornado on a port, and sockets wanted", { "app.py": tornado }, { bind: "socket" }, {}, ["tornado"]],
])("%s is not guessed at", (_, texts, given, options, kinds) => {
  const detected = detectKind(projectOf(texts), given, options);
  expect(detected).toMatchObject({ found: false, candidates: kinds.map((kind) => ({ kind })) });
});

test("a server that the requirements lack is added to them", () => {
  const files = projectOf({ ...django, "requirements.txt": "django" });
  expect(detectKind(files)).toMatchObject({ found: true, server: { kind: "gunicorn" }, extra: ["gunicorn"] });
});

test("the distribution's packages need no requirements", () => {
  const files = projectOf({ ...django, "requirements.txt": "django" });
  expect(detectKind(files, {}, { systemPackages: true })).toMatchObject({ found: true, server: { kind: "gunicorn" } });
});
