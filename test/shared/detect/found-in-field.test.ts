import { afterEach, beforeEach, expect, test } from "vitest";
import { detectKind, survey } from "../../../shared/detect/detect.ts";
import { TestHost } from "../../agent/cli/support.ts";
import { directoryOf, projectOf } from "./project.ts";
import { django, fastapi, flask, manage, type Row, wsgi } from "./texts.ts";

/** Kinds that a later look at projects of others showed. */

const compose = (command: string) => `services:\n  web:\n    build: .\n    command: ${command}\n`;
const dash = "import dash\n\napp = dash.Dash(__name__)\nserver = app.server\n";

const rows: Row[] = [
  [
    "a factory that another one completes",
    {
      "main.py":
        "from fastapi import FastAPI\n\ndef create_app() -> FastAPI:\n    return FastAPI()\n\ndef create_whole_app():\n    app = create_app()\n    app.state.x = 1\n    return app\n\ndef create_test_app():\n    app = create_whole_app()\n    return app\n",
      "requirements.txt": "fastapi\nuvicorn\n",
    },
    { kind: "uvicorn", app: "main:create_whole_app()" },
  ],
  [
    "a compose file that has the project's own name",
    {
      "web.py": fastapi.replace("app =", "site ="),
      "api.py": fastapi,
      "shop.yml": compose("uvicorn web:site --reload"),
    },
    { kind: "uvicorn", app: "web:site" },
  ],
  [
    "a compose file in a folder for them",
    {
      "web.py": fastapi.replace("app =", "site ="),
      "api.py": fastapi,
      "docker_compose/backend.yaml": compose("uvicorn web:site"),
    },
    { kind: "uvicorn", app: "web:site" },
  ],
  [
    "the command of render.yaml, in its folder",
    {
      "api/web.py": flask.replace("app =", "site ="),
      "api/app.py": flask,
      "render.yaml":
        "services:\n  - type: web\n    name: x\n    rootDir: ./api\n    startCommand: gunicorn web:site --workers 3\n",
    },
    { kind: "gunicorn", app: "web:site", workers: 3 },
    { env: { PYTHONPATH: "api" } },
  ],
  ...(
    [
      ["railway.json", '{ "deploy": { "startCommand": "gunicorn web:site" } }'],
      ["railway.toml", '[deploy]\nstartCommand = "gunicorn web:site"\n'],
      ["nixpacks.toml", '[start]\ncmd = "gunicorn web:site"\n'],
      ["app.yaml", "runtime: python312\nentrypoint: gunicorn web:site\n"],
      ["fly.toml", '[processes]\napp = "gunicorn web:site"\n'],
      [".do/app.yaml", "services:\n  - name: web\n    run_command: gunicorn web:site\n"],
    ] as const
  ).map(
    ([file, text]): Row => [
      `the command of ${file}`,
      { "web.py": flask.replace("app =", "site ="), "app.py": flask, [file]: text },
      { kind: "gunicorn", app: "web:site" },
    ],
  ),
  [
    "a Dockerfile in exec form whose words have variables with a default",
    {
      "web.py": fastapi.replace("app =", "site ="),
      "app.py": fastapi,
      Dockerfile: 'FROM python:3.12\nCMD ["sh", "-c", "uvicorn web:site --host 0.0.0.0 --port $' + '{PORT:-8000}"]\n',
    },
    { kind: "uvicorn", app: "web:site" },
  ],
  [
    "an application of a package",
    {
      "settings.py": "X = 1\n",
      Procfile: "web: gunicorn big_shop.wsgi -w 2\n",
      "requirements.txt": "Big.Shop\ngunicorn\n",
    },
    { kind: "gunicorn", app: "big_shop.wsgi:application", workers: 2 },
  ],
  [
    "Django without a wsgi.py",
    { "manage.py": manage, "site1/settings.py": "", "site1/__init__.py": "", "requirements.txt": "django\ngunicorn\n" },
    { kind: "gunicorn", app: "django.core.wsgi:get_wsgi_application()" },
  ],
  [
    "a script in a folder with an __init__.py that imports what lies next to it",
    {
      "code/__init__.py": "",
      "code/web.py": `from config import x\n${fastapi}`,
      "code/config.py": "x = 1\n",
      "requirements.txt": "fastapi\nuvicorn\n",
    },
    { kind: "uvicorn", app: "web:app" },
    { env: { PYTHONPATH: "code" } },
  ],
  [
    "a program of supervisor whose command goes on in lines that look like keys",
    {
      "web.py": flask.replace("app =", "site ="),
      "app.py": flask,
      "supervisor/web.conf": "[program:web]\ndirectory=/app\ncommand=gunicorn\n    web:site\n    -w 3\n",
    },
    { kind: "gunicorn", app: "web:site", workers: 3 },
  ],
  [
    "Dash that another file lays out",
    {
      "app.py": dash,
      "index.py": "from app import app, server\n\napp.layout = None\n",
      "requirements.txt": "dash\ngunicorn\n",
    },
    { kind: "gunicorn", app: "index:server" },
  ],
  [
    "Dash that another file lays out, in a folder",
    {
      "site/app.py": dash,
      "site/__init__.py": "",
      "site/index.py": "from site.app import app\n\nserver = app.server\napp.layout = None\n",
      "requirements.txt": "dash\ngunicorn\n",
    },
    { kind: "gunicorn", app: "site.index:server" },
  ],
  [
    "Dash that is laid out where it is made",
    {
      "app.py": `${dash}app.layout = None\n`,
      "index.py": "from app import app, server\n\napp.layout = None\n",
      "requirements.txt": "dash\ngunicorn\n",
    },
    { kind: "gunicorn", app: "app:server" },
  ],
  [
    "Streamlit that nobody wrote down how to start",
    {
      "src/top.py": "import streamlit as st\nfrom parts import table\n\nst.header('x')\n",
      "src/parts.py": "import streamlit as st\n\ndef table():\n    st.table([])\n",
      "src/pages/more.py": "import streamlit as st\n\nst.header('y')\n",
      "requirements.txt": "streamlit\n",
    },
    {
      kind: "command",
      command: "streamlit run src/top.py --server.address 127.0.0.1 --server.port {port} --server.headless true",
      bind: "port",
    },
  ],
];

test.each(rows)("%s", (_, files, server, rest = {}) => {
  expect(detectKind(projectOf(files))).toMatchObject({ found: true, server, ...rest });
});

test("a worker of render.yaml is a process", () => {
  const text =
    "services:\n  - type: web\n    startCommand: gunicorn web:app\n  - type: worker\n    name: jobs\n    startCommand: celery -A web worker\n  - type: cron\n    startCommand: python x.py\n";
  expect(survey(projectOf({ "web.py": flask, "render.yaml": text })).processes).toMatchObject([
    { name: "jobs", command: "celery -A web worker --hostname {instance}-{run}@%h" },
  ]);
});

const live = { ...django, "site1/live.py": 'ROOT_URLCONF = "site1.urls"\n' };

test.each([
  [
    "render.yaml",
    "services:\n  - type: web\n    envVars:\n      - key: DJANGO_SETTINGS_MODULE\n        value: site1.live\n",
  ],
  ["app.json", '{ "env": { "DJANGO_SETTINGS_MODULE": { "description": "x", "value": "site1.live" } } }'],
  ["fly.toml", '[env]\nDJANGO_SETTINGS_MODULE = "site1.live"\n'],
  ["app.yaml", "env_variables:\n  DJANGO_SETTINGS_MODULE: site1.live\n"],
])("the settings that %s names are those of the site", (file, text) => {
  const of = (settings: string) =>
    survey(projectOf({ ...live, "site1/dev.py": "", [file]: text.replace("site1.live", settings) })).django?.settings;
  expect(of("site1.live")).toMatchObject({ module: "site1.live", from: file });
  expect(of("site1.gone")).toMatchObject({ module: "site1.settings" });
  expect(of("site1.dev")).toMatchObject({ module: "site1.settings" });
});

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

async function init(files: Record<string, string>, ...options: string[]): Promise<string> {
  const { out, err } = await host.run(["init", directoryOf(files), "--dry-run", ...options]);
  return out + err;
}

const unnamed = {
  "manage.py": manage.replace('"site1.settings"', "config('DJANGO_SETTINGS_MODULE')"),
  "site1/__init__.py": "",
  "site1/wsgi.py": wsgi.replace('"site1.settings"', "config('DJANGO_SETTINGS_MODULE')"),
  "requirements.txt": "django\ngunicorn\n",
};

test("settings that no file names are looked for, or it is told that they are missing", async () => {
  const settings = { "site1/settings/settings.py": 'ROOT_URLCONF = "site1.urls"\n', "site1/settings/__init__.py": "" };
  expect(await init({ ...unnamed, ...settings })).toMatch(
    /DJANGO_SETTINGS_MODULE=site1\.settings\.settings \(no file names the settings: check it\)/,
  );
  expect(await init(unnamed)).toContain("note     no file names Django's settings, and without them it does not start");
});

test("a STATIC_ROOT that only developers have is none", async () => {
  const text = `DEBUG = False\nINSTALLED_APPS = ["django.contrib.staticfiles"]\nif DEBUG:\n    STATIC_ROOT = "x"\n`;
  expect(await init({ ...django, "site1/settings.py": text })).not.toMatch(/static {3}\//);
});

test.each([
  ["import os\nSTATIC_URL = f\"https://{os.getenv('BUCKET')}/static/\"", "the host of STATIC_URL"],
  ["STATICFILES_STORAGE = 'site1.storage.S3Static'", "site1.storage.S3Static"],
  [
    "STORAGES = {'staticfiles': {'BACKEND': 'storages.backends.gcloud.GoogleCloudStorage'}}",
    "storages.backends.gcloud.GoogleCloudStorage",
  ],
])("static files that %s keeps elsewhere are none of nginx", async (text, storage) => {
  const settings = `INSTALLED_APPS = ["django.contrib.staticfiles"]\nSTATIC_ROOT = "out"\n${text}\n`;
  const out = await init({ ...django, "site1/settings.py": settings });
  expect(out).not.toMatch(/static {3}\/|STATIC_ROOT/);
  expect(out).toContain(`note     static files are kept by ${storage}, not on the hosts`);
  const own = "STATICFILES_STORAGE = 'whitenoise.storage.CompressedManifestStaticFilesStorage'";
  expect(await init({ ...django, "site1/settings.py": settings.replace(text, own) })).toMatch(
    /static {3}\/static\/ from out/,
  );
});

test.each(["['django.contrib.admin'] + list(set(A + B))", "load('apps.txt')"])(
  "applications by %s are enough for static files",
  async (apps) => {
    const text = `A = ["x"]\nB = ["django.contrib.staticfiles"]\nINSTALLED_APPS = ${apps}\nSTATIC_ROOT = "out"\n`;
    expect(await init({ ...django, "site1/settings.py": text })).toMatch(/static {3}\/static\/ from out/);
  },
);

test("of several wsgi files the settings of the one that is served count", () => {
  const files = {
    ...live,
    "site1/wsgi/__init__.py": "",
    "site1/wsgi/web.py": wsgi.replace("site1.settings", "site1.live"),
    Procfile: "web: gunicorn site1.wsgi.web\n",
  };
  expect(survey(projectOf(files)).django?.settings).toMatchObject({ module: "site1.live", from: "site1/wsgi/web.py" });
});

test("a path that is put into a text is one", async () => {
  const text = `import os\nBASE = os.path.dirname(__file__)\nDATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "%s/%s" % (BASE, "x.db")}}\n`;
  expect(await init({ ...django, "site1/settings.py": text })).toMatch(/shared {3}site1\/x\.db: the SQLite database/);
});

test("a log on Windows is none of the project", async () => {
  const text = String.raw`LOGGING = {"handlers": {"f": {"filename": "C:\\logs\\x.log"}}}`;
  expect(await init({ ...django, "site1/settings.py": text })).not.toContain("x.log");
});

test("a worker does not watch its files", () => {
  const text = "services:\n  jobs:\n    command: taskiq worker web:broker --reload\n";
  expect(survey(projectOf({ "web.py": flask, "compose.yaml": text })).processes).toMatchObject([
    { command: "taskiq worker web:broker" },
  ]);
});

test("a workspace in a folder is not one project, but holds some", async () => {
  const member = (name: string) => ({
    [`mono/packages/${name}/pyproject.toml`]: `[project]\nname = "${name}"\nversion = "1"\ndependencies = ["fastapi", "uvicorn"]\n`,
    [`mono/packages/${name}/app/main.py`]: `from app.x import y\n${fastapi}`,
    [`mono/packages/${name}/app/x.py`]: "y = 1\n",
  });
  const files = {
    ".git/HEAD": "ref: refs/heads/main\n",
    "mono/pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
    ...member("api"),
    ...member("ml"),
  };
  expect(await init(files)).toMatch(/holds 2 projects: mono\/packages\/api, mono\/packages\/ml\./);
  const all = await init(files, "--all");
  expect(all).toMatch(/Found in mono\/packages\/api\/:\n {2}server {3}uvicorn, app\.main:app/);
  expect(all).toMatch(/working-directory: mono\/packages\/ml/);
});

test("a folder with requirements of its own is the project, also below another such folder", async () => {
  const files = {
    "agent/requirements.txt": "fastapi\n",
    "agent/backend/requirements.txt": "fastapi\nuvicorn\n",
    "agent/backend/main.py": fastapi,
    "agent/backend/Procfile": "web: uvicorn main:app\n",
  };
  expect(await init(files)).toMatch(/Found in agent\/backend\/:\n {2}server {3}uvicorn, main:app \(Procfile:1\)/);
});
