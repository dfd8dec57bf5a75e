import { afterEach, beforeEach, expect, test } from "vitest";
import { detectKind, survey } from "../../../shared/detect/detect.ts";
import { TestHost } from "../../agent/cli/support.ts";
import { directoryOf, projectOf } from "./project.ts";
import { asgi, django, fastapi, flask, type Row } from "./texts.ts";

/** What serves a project is written down, but not where a first look finds it. */

let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
});

afterEach(() => host.close());

async function init(files: Record<string, string>, ...words: string[]): Promise<string> {
  const { out, err } = await host.run(["init", directoryOf(files), "--dry-run", ...words]);
  return out + err;
}

const site = fastapi.replace("app =", "site =");
const paste = "gunicorn --paste conf/live.ini";
const everyInstance = "--bind unix:{socket} --umask 0 --workers {workers}";
const supervisor = (programs: Record<string, string>) =>
  Object.entries(programs)
    .map(([name, command]) => `[program:${name}]\ncommand=${command}\n`)
    .join("\n");

const rows: Row[] = [
  [
    "gunicorn with a framework's own workers keeps them",
    {
      "shop/server.py": "from sanic import Sanic\napp = Sanic('shop')\n",
      "requirements.txt": "sanic==0.5\ngunicorn\n",
      Procfile: "web: gunicorn -k sanic.worker.GunicornWorker -b :$PORT shop.server:app\n",
    },
    {
      kind: "command",
      command: `gunicorn --worker-class sanic.worker.GunicornWorker ${everyInstance} shop.server:app`,
    },
  ],
  [
    "gunicorn with aiohttp's workers is aiohttp",
    {
      "shop.py": "from aiohttp import web\napp = web.Application()\n",
      "requirements.txt": "aiohttp\ngunicorn\n",
      Procfile: "web: gunicorn --worker-class aiohttp.GunicornWebWorker --timeout 60 shop:app\n",
    },
    { kind: "aiohttp", app: "shop:app" },
  ],
  [
    "gunicorn with another package's WSGI workers",
    { "app.py": flask, Procfile: "web: gunicorn -k meinheld.gmeinheld.MeinheldWorker app:app\n" },
    { kind: "gunicorn", app: "app:app" },
    { env: { GUNICORN_CMD_ARGS: "--worker-class meinheld.gmeinheld.MeinheldWorker" } },
  ],
  [
    "the supervisord of an image, whose file has several servers",
    {
      "conf/live.ini": "[app:main]\nuse = egg:shop\n",
      "conf/supervisord.conf": supervisor({
        web: `newrelic-admin run-program ${paste} --config conf/gunicorn.conf.py`,
        websocket: "gunicorn --paste conf/websocket.ini",
      }),
      "conf/supervisord-dev.conf": supervisor({ web: "gunicorn --paste conf/dev.ini --reload" }),
      Dockerfile: 'FROM python:3.12\nCMD ["init-env", "supervisord", "-c", "conf/supervisord.conf"]\n',
    },
    { kind: "command", command: `${paste} --config conf/gunicorn.conf.py ${everyInstance}` },
  ],
  [
    "supervisor's file for developing next to the one of the site",
    {
      "web.py": flask,
      "conf/supervisord-dev.conf": supervisor({ web: "gunicorn web:app --workers 1" }),
      "conf/supervisord.conf": supervisor({ web: "gunicorn web:app --workers 5" }),
    },
    { kind: "gunicorn", app: "web:app", workers: 5 },
  ],
  [
    "a script of the project that takes its port behind a start script",
    {
      "shop.py":
        "import argparse, pages\nif __name__ == '__main__':\n    p = argparse.ArgumentParser()\n    p.add_argument('-p', '--port')\n    p.add_argument('--data')\n    pages.start(p.parse_args())\n",
      "pages.py": "import cherrypy\n\ndef start(args):\n    cherrypy.engine.start()\n",
      "start.sh": '#!/bin/sh\nexec "$@"\n',
      "requirements.txt": "cherrypy\n",
      Dockerfile:
        'FROM python:3.12\nVOLUME /config\nENTRYPOINT ["./start.sh"]\nCMD ["python", "shop.py", "--data", "/config"]\n',
    },
    { kind: "command", command: "python shop.py --data {shared} --port={port}", bind: "port" },
  ],
  [
    "a package that reads its port with decouple, behind a script with cases",
    {
      "shop/__init__.py": "",
      "shop/__main__.py": "from shop.app import main\nmain()\n",
      "shop/config.py": 'from decouple import config\n\nHOST = config("HOST")\nPORT = config("PORT", cast=int)\n',
      "shop/app.py":
        "from aiohttp import web\nfrom shop import config\n\ndef init_app(checks):\n    app = web.Application()\n    return app\n\ndef main():\n    web.run_app(init_app({}), port=config.PORT)\n",
      "bin/run.sh": '#!/bin/sh\nARGS="--no-dev"\nif [ $1 == "server" ]; then\n  exec uv run $ARGS python -m shop\nfi\n',
      "requirements.txt": "aiohttp\npython-decouple\n",
      Dockerfile: 'FROM python:3.12\nENTRYPOINT ["/app/bin/run.sh"]\nCMD ["server"]\n',
    },
    { kind: "command", command: "env HOST=127.0.0.1 PORT={port} python -m shop", bind: "port" },
  ],
  [
    "uWSGI's YAML under another name and in another section",
    {
      "src/shop/__init__.py": "",
      "src/shop/app.py": "import falcon\n\napplication = None\n\ndef get_wsgi_app():\n    return application\n",
      "src/shop/helper.py": "import falcon\n\napp = falcon.App()\n",
      "ops/uwsgi-docker.yaml": "prod:\n  module: shop.app:get_wsgi_app()\n  workers: 12\n",
      "requirements.txt": "falcon\n",
    },
    { kind: "uwsgi", app: "shop.app:get_wsgi_app()" },
    { env: { PYTHONPATH: "src" }, extra: ["uwsgi"] },
  ],
];

test.each(rows)("%s", (_, files, server, { env = {}, extra } = {}) => {
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server, env, ...(extra && { extra }) });
  expect(detectKind(projectOf(files))).toEqual(expect.objectContaining({ server }));
});

test.each([
  ["backend", "../Dockerfile:4"],
  ["src/api", "../../Dockerfile:4"],
])("the Dockerfile above, which copies %s", async (folder, why) => {
  const files = {
    ".git/HEAD": "ref: refs/heads/main\n",
    Dockerfile: `FROM python:3.12\nCOPY --from=node /x /y\nCOPY ./${folder}/src /app\nCMD ["hypercorn", "web:site"]\n`,
    [`${folder}/src/web.py`]: site,
    [`${folder}/pyproject.toml`]: '[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi", "uvicorn"]\n',
    "frontend/package.json": "{}",
  };
  expect(await init(files)).toMatch(`server   hypercorn, web:site (${why})`);
  const other = { ...files, Dockerfile: files.Dockerfile.replace(`./${folder}/src`, "./worker") };
  expect(await init(other)).toMatch(/server {3}uvicorn, web:site/);
});

test("services below a folder that is none are projects of their own", async () => {
  const service = (folder: string, text: string) => ({
    [`src/${folder}/pyproject.toml`]: '[project]\nname = "x"\nversion = "1"\ndependencies = ["flask", "gunicorn"]\n',
    [`src/${folder}/web.py`]: text,
  });
  const files = { ...service("site", flask), ...service("accounts/users", flask), ...service("load", "x = 1\n") };
  expect(await init(files)).toMatch(/holds 2 projects: src\/site, src\/accounts\/users\./);
});

test("a package with an extra is written as YAML can read it", async () => {
  const files = {
    ...django,
    "requirements.txt": "django\nchannels\n",
    "site1/chat.py":
      "from channels.generic.websocket import WebsocketConsumer\n\nclass Chat(WebsocketConsumer):\n    app = 1\n",
    "site1/asgi.py": `${asgi}from channels.routing import ProtocolTypeRouter, URLRouter\napplication = ProtocolTypeRouter({"http": application, "websocket": URLRouter([])})\n`,
  };
  const out = await init(files);
  expect(out).toContain('extra: ["uvicorn[standard]"]');
  expect(out).not.toContain("error");
});

test("a server that the file for production has is not added", async () => {
  const files = {
    ...django,
    "requirements/dev.txt": "-r prod.txt\n",
    "requirements/prod.txt": "django\ngunicorn\n",
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["django"]\n',
    "uv.lock": 'version = 1\n[[package]]\nname = "x"\nversion = "1"\n',
  };
  const out = await init(files);
  expect(out).toMatch(/requirements: requirements\/prod\.txt/);
  expect(out).not.toContain("is added");
});

test("a manage.py that only compares itself with Django is another framework's", async () => {
  const files = {
    "manage.py": '"""Known from Django."""\nfrom shop import cli\n# as in django\ncli()\n',
    "web.py": flask,
    "requirements.txt": "flask\ngunicorn\n",
  };
  expect(survey(projectOf(files)).django).toBeUndefined();
  const starter =
    "import sys\nfrom starter.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n";
  expect(survey(projectOf({ ...django, "manage.py": starter })).django?.manage).toBe("manage.py");
});

test("a word with a variable of the host's needs a shell", () => {
  const files = {
    "web.py": flask,
    Procfile: "web: gunicorn web:app\njobs: rq worker --url $REDIS_URL high\ndocs: sphinx-autobuild x\n",
  };
  expect(survey(projectOf(files)).processes).toMatchObject([
    { name: "jobs", command: `sh -c 'exec rq worker --url "$REDIS_URL" high'` },
  ]);
});
