import { expect, test } from "vitest";
import { projectIn } from "../../../agent/cli/project/project-directory.ts";
import { configSchema } from "../../../shared/config.ts";
import { detectKind, survey } from "../../../shared/detect/detect.ts";
import { projectFaults } from "../../../shared/project.ts";
import { directoryOf, projectOf } from "./project.ts";

/** Kinds of projects that real ones showed. */

const flask = "from flask import Flask\napp = Flask(__name__)\n";
const head = { ".git/HEAD": "ref: refs/heads/main\n" };

test("a group of commands that takes the application is none", () => {
  const files = {
    "site1/__init__.py": flask,
    "manage.py": "from flask.cli import FlaskGroup\nfrom site1 import app\ncli = FlaskGroup(app)\n",
    "requirements.txt": "flask\ngunicorn\n",
  };
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server: { kind: "gunicorn", app: "site1:app" } });
});

test("a package comes before a module of its name, as in Python", () => {
  const files = {
    "cps.py": "from cps.main import main\nmain()\n",
    "cps/__init__.py": flask,
    "requirements.txt": "flask\n",
  };
  const project = projectOf(files);
  expect(detectKind(project)).toMatchObject({ found: true, server: { app: "cps:app" } });
  const config = configSchema.parse({ app: "x", server: { kind: "gunicorn", app: "cps:app" } });
  expect(projectFaults(config, project).filter(({ severity }) => severity === "error")).toEqual([]);
});

const compose = (context: string) =>
  `services:\n  web:\n    build: ${context}\n    command: gunicorn web:app\n  jobs:\n    build:\n      context: ${context}\n    command: celery -A web.jobs worker --logfile=logs/x.log\n  other:\n    build: ./frontend\n    command: celery -A other worker\n`;

test.each([
  ["services/web", "../../docker-compose.prod.yml", "./services/web"],
  ["api", "../compose.yaml", "api/"],
])("a compose file above %s tells how it is served and what works behind it", (folder, file, context) => {
  const directory = directoryOf({
    ...head,
    [file.replace(/^(?:\.\.\/)+/, "")]: compose(context),
    [`${folder}/web.py`]: flask,
    [`${folder}/requirements.txt`]: "flask\ngunicorn\ncelery\n",
  });
  const { detection, processes } = survey(projectIn(`${directory}/${folder}`));
  expect(detection).toMatchObject({ found: true, server: { kind: "gunicorn", app: "web:app" } });
  if (detection.found) expect(detection.why[0]).toContain(`${file}:`);
  expect(processes).toMatchObject([
    { name: "jobs", command: "celery -A web.jobs worker --hostname {instance}-{run}@%h" },
  ]);
});

test("a compose file above tells nothing of a project that it does not build", () => {
  const directory = directoryOf({
    ...head,
    "docker-compose.yml": compose("./elsewhere"),
    "elsewhere/web.py": `${flask}# another\n`,
    "api/web.py": flask,
    "api/requirements.txt": "flask\ngunicorn\n",
  });
  expect(survey(projectIn(`${directory}/api`)).processes).toEqual([]);
});

test("a server of an optional group is not installed, so it is added", () => {
  const pyproject =
    '[project]\nname = "x"\nversion = "1"\ndependencies = ["flask"]\n[project.optional-dependencies]\ndocker = ["gunicorn"]\n';
  const found = detectKind(projectOf({ "web.py": flask, "pyproject.toml": pyproject }));
  expect(found).toMatchObject({ found: true, server: { kind: "gunicorn" }, extra: ["gunicorn"] });
});

test.each([
  ["pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi[standard]>=0.114"]\n'],
  ["requirements.txt", "fastapi[standard]==0.115.0\n"],
])("an extra of %s brings its server", (file, text) => {
  const project = projectOf({ "main.py": "from fastapi import FastAPI\napp = FastAPI()\n", [file]: text });
  expect(detectKind(project)).toMatchObject({ found: true, server: { kind: "uvicorn" }, extra: [] });
  const config = configSchema.parse({
    app: "x",
    server: { kind: "uvicorn", app: "main:app" },
    python: { requirements: file },
  });
  expect(projectFaults(config, project)).toEqual([]);
});

test("a setting that a helper reads from the environment is its default, not its name", () => {
  const settings =
    'import environ\nenv = environ.Env()\nINSTALLED_APPS = ["django.contrib.staticfiles"]\nSTATIC_URL = env.str("SITE_STATIC_URL", default="/s/")\nSTATIC_ROOT = env.str("SITE_STATIC_ROOT")\n';
  const read = projectOf({ "site1/settings.py": settings }).djangoSettings?.("", "site1.settings");
  expect(read).toMatchObject({ staticUrl: "/s/", staticRoot: { unknown: true } });
});

test("a beat that keeps its schedule in the release is told where to", () => {
  const of = (command: string, shared: object[] = []) => {
    const config = configSchema.parse({
      app: "x",
      server: { kind: "gunicorn", app: "web:app" },
      processes: { beat: { command, overlap: false } },
      shared,
    });
    return projectFaults(config, projectOf({ "web.py": flask, "requirements.txt": "gunicorn\ncelery\n" })).map(
      ({ message }) => message,
    );
  };
  expect(of("celery -A web beat")).toMatchObject([expect.stringMatching(/add `--schedule \{shared\}/)]);
  expect(of("celery -A web beat -s {shared}/beat")).toEqual([]);
  expect(of("celery -A web beat --scheduler django")).toEqual([]);
  expect(of("celery -A web worker")).toEqual([]);
  expect(of("celery -A web beat", [{ path: "celerybeat-schedule" }])).toEqual([]);
});

test("the line that Debian's pip freeze invents is an error with its name", () => {
  const config = configSchema.parse({ app: "x", server: { kind: "gunicorn", app: "web:app" } });
  const project = projectOf({ "web.py": flask, "requirements.txt": "gunicorn==20.1.0\npkg_resources==0.0.0\n" });
  expect(projectFaults(config, project)).toMatchObject([
    { severity: "error", message: expect.stringMatching(/pkg_resources==0\.0\.0, which is no package/) },
  ]);
});

const manage = {
  "manage.py":
    'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\nfrom django.core.management import execute_from_command_line\n',
  "site1/wsgi.py":
    'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\nfrom django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n',
  "site1/settings.py": "",
};
const celery = 'from celery import Celery\napp = Celery("site1")\n';

test.each<[name: string, files: Record<string, string>, commands: string[]]>([
  [
    "Celery's usual file",
    { ...manage, "site1/celery.py": celery, "requirements.txt": "django\ncelery\n" },
    ["celery -A site1 worker --loglevel INFO --hostname {instance}-{run}@%h"],
  ],
  [
    "Celery of another name, with a schedule",
    {
      "web.py": flask,
      "jobs.py": 'import celery\nqueue = celery.Celery("x")\nqueue.conf.beat_schedule = {}\n',
      "requirements.txt": "flask\ncelery\n",
    },
    [
      "celery -A jobs:queue worker --loglevel INFO --hostname {instance}-{run}@%h",
      "celery -A jobs:queue beat --loglevel INFO --schedule {shared}/celerybeat-schedule --pidfile=",
    ],
  ],
  [
    "a schedule in Django's database",
    { ...manage, "site1/celery.py": celery, "requirements.txt": "django\ncelery\ndjango-celery-beat\n" },
    [
      "celery -A site1 worker --loglevel INFO --hostname {instance}-{run}@%h",
      "celery -A site1 beat --loglevel INFO --scheduler django_celery_beat.schedulers:DatabaseScheduler --pidfile=",
    ],
  ],
  ["django-q", { ...manage, "requirements.txt": "django\ndjango-q2\n" }, ["python manage.py qcluster"]],
  ["django-rq", { ...manage, "requirements.txt": "django\ndjango-rq\nrq\n" }, ["python manage.py rqworker default"]],
  [
    "APScheduler as a command",
    { ...manage, "shop/management/commands/runapscheduler.py": "x = 1\n", "requirements.txt": "django\napscheduler\n" },
    ["python manage.py runapscheduler"],
  ],
  [
    "RQ's queues",
    {
      "web.py": `${flask}from rq import Queue\nqueue = Queue("mails", connection=None)\n`,
      "requirements.txt": "flask\nrq\n",
    },
    ["rq worker mails"],
  ],
  [
    "what somebody wrote counts alone",
    {
      "web.py": flask,
      "jobs.py": celery,
      Procfile: "web: gunicorn web:app\nworker: celery -A jobs worker -Q a\n",
      "requirements.txt": "flask\ncelery\n",
    },
    ["celery -A jobs worker -Q a --hostname {instance}-{run}@%h"],
  ],
  ["a library for tasks that is only there", { "web.py": flask, "requirements.txt": "flask\ncelery\n" }, []],
])("workers by code and packages: %s", (_, files, commands) => {
  expect(survey(projectOf(files)).processes.map(({ command }) => command)).toEqual(commands);
});

test("an application two folders below src is found, with the folder of its package on the path", () => {
  const files = {
    "src/py/shop/__init__.py": "",
    "src/py/shop/server/__init__.py": "",
    "src/py/shop/server/asgi.py":
      "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from litestar import Litestar\n\ndef create_app() -> Litestar:\n    from litestar import Litestar\n    return Litestar([])\n",
    "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["litestar"]\n',
  };
  expect(detectKind(projectIn(directoryOf({ ...head, ...files })))).toMatchObject({
    found: true,
    server: { kind: "uvicorn", app: "shop.server.asgi:create_app()" },
    env: { PYTHONPATH: "src/py" },
  });
});

const cherrypy =
  "import os\nimport cherrypy\ncherrypy.quickstart(object(), '/', {'global': {'server.socket_port': int(os.environ.get('PORT', 80))}})\n";
const bottle = "import sys\nimport bottle\nbottle.run(port=sys.argv[1])\n";

test.each([
  ["the line gives the port", "web: python app.py --quiet $PORT\n", bottle, "python app.py --quiet {port}"],
  ["it reads PORT", "web: python app.py\n", cherrypy, "env PORT={port} python app.py"],
])("a script whose framework listens by itself is a command: %s", (_, procfile, script, command) => {
  const files = { Procfile: procfile, "app.py": script, "requirements.txt": "bottle\ncherrypy\n" };
  const found = detectKind(projectIn(directoryOf({ ...head, ...files })));
  expect(found).toMatchObject({ found: true, server: { kind: "command", command, bind: "port" }, extra: [] });
});

test("a script that takes no port is none", () => {
  const files = { Procfile: "web: python app.py\n", "app.py": bottle, "requirements.txt": "bottle\n" };
  expect(detectKind(projectIn(directoryOf({ ...head, ...files }))).found).toBe(false);
});
