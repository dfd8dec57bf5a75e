import { expect, test } from "vitest";
import { detectKind, survey } from "../../../shared/detect/detect.ts";
import { projectOf } from "./project.ts";
import { django, factory, fastapi, flask, type Row } from "./texts.ts";

const written: Row[] = [
  [
    "Procfile with options of gunicorn",
    {
      "shop/__init__.py": factory,
      Procfile: "web: gunicorn --bind 0.0.0.0:$PORT -w 3 --threads 4 --timeout 90 'shop:create_app()'\n",
    },
    { kind: "gunicorn", app: "shop:create_app()", workers: 3, threads: 4 },
    { env: { GUNICORN_CMD_ARGS: "--timeout 90" } },
  ],
  [
    "Procfile with gunicorn's uvicorn workers",
    {
      "api/main.py": fastapi,
      "api/__init__.py": "",
      Procfile: "web: gunicorn api.main:app -k uvicorn.workers.UvicornWorker\n",
    },
    { kind: "uvicorn", app: "api.main:app" },
  ],
  [
    "Procfile with gevent workers",
    { "app.py": flask, Procfile: "web: gunicorn -k gevent -w 1 app:app\n" },
    { kind: "gunicorn", app: "app:app", workers: 1 },
    { env: { GUNICORN_CMD_ARGS: "--worker-class gevent" } },
  ],
  [
    "Procfile that changes the folder",
    { "backend/wsgi.py": flask, Procfile: "web: cd backend && gunicorn wsgi:app\n" },
    { kind: "gunicorn", app: "wsgi:app" },
    { env: { PYTHONPATH: "backend" } },
  ],
  [
    "Procfile with --chdir",
    { "src/shop/wsgi.py": flask, Procfile: "web: gunicorn --chdir=src shop.wsgi:app --log-file -\n" },
    { kind: "gunicorn", app: "shop.wsgi:app" },
    { env: { PYTHONPATH: "src" } },
  ],
  [
    "Procfile with a module alone",
    { ...django, Procfile: "web: gunicorn site1.wsgi\n" },
    { kind: "gunicorn", app: "site1.wsgi:application" },
  ],
  [
    "Procfile with waitress",
    { "app.py": factory, Procfile: "web: waitress-serve --port=$PORT --call app:create_app\n" },
    { kind: "waitress", app: "app:create_app()", threads: 4 },
  ],
  [
    "Procfile with daphne",
    { ...django, Procfile: "web: daphne -b 0.0.0.0 -p $PORT site1.asgi:application\n" },
    { kind: "daphne", app: "site1.asgi:application" },
  ],
  [
    "Procfile with hypercorn",
    {
      "main.py": "from quart import Quart\napp = Quart(__name__)\n",
      Procfile: "web: hypercorn --bind :$PORT main:app\n",
    },
    { kind: "hypercorn", app: "main:app" },
  ],
  [
    "Procfile with granian",
    { ...django, Procfile: "web: granian --interface wsgi --host 0.0.0.0 site1.wsgi:application\n" },
    { kind: "granian", app: "site1.wsgi:application", interface: "wsgi" },
  ],
  [
    "Procfile with a wrapper",
    { "app.py": flask, Procfile: "web: newrelic-admin run-program gunicorn app:app\n" },
    { kind: "gunicorn", app: "app:app" },
  ],
  [
    "Procfile with uvicorn's factory",
    {
      "api/app.py": "from fastapi import FastAPI\ndef build():\n    return FastAPI()\n",
      "api/__init__.py": "",
      Procfile: "web: uvicorn api.app:build --factory --host 0.0.0.0\n",
    },
    { kind: "uvicorn", app: "api.app:build()" },
  ],
  [
    "Procfile that runs a script",
    { "run.py": `${flask}if __name__ == "__main__":\n    app.run()\n`, Procfile: "web: python run.py\n" },
    { kind: "gunicorn", app: "run:app" },
  ],
  [
    "Dockerfile in shell form, of several stages",
    {
      "app/main.py": fastapi,
      "app/__init__.py": "",
      Dockerfile:
        'FROM node AS front\nCMD ["npm", "start"]\nFROM python:3.12\nENV PORT=80 APP=app.main:app\nCMD exec uvicorn $APP --host 0.0.0.0 \\\n  --port $PORT\n',
    },
    { kind: "uvicorn", app: "app.main:app" },
  ],
  [
    "Dockerfile with an entrypoint script",
    {
      "web.py": flask,
      "docker/entrypoint.sh": '#!/bin/sh\nset -e\nflask db upgrade\nexec "$@"\n',
      Dockerfile:
        'FROM python\nCOPY . /srv\nENTRYPOINT ["/srv/docker/entrypoint.sh"]\nCMD ["gunicorn", "--bind=:80", "web:app"]\n',
    },
    { kind: "gunicorn", app: "web:app" },
  ],
  [
    "Dockerfile whose script starts the server",
    {
      ...django,
      "start.sh":
        "#!/bin/bash\npython manage.py migrate\npoetry run gunicorn site1.wsgi:application \\\n  --workers 2\n",
      Dockerfile: "FROM python\nCMD bash ./start.sh\n",
    },
    { kind: "gunicorn", app: "site1.wsgi:application", workers: 2 },
  ],
  [
    "Dockerfile with fastapi run",
    {
      "app/main.py": fastapi,
      "app/__init__.py": "",
      Dockerfile: 'FROM python\nCMD ["fastapi", "run", "app/main.py", "--port", "80"]\n',
      "requirements.txt": "fastapi[standard]\n",
    },
    { kind: "uvicorn", app: "app.main:app" },
    { extra: [] },
  ],
  [
    "Dockerfile with flask run",
    {
      "shop.py": flask,
      Dockerfile: 'FROM python\nENV FLASK_APP=shop.py\nCMD ["flask", "--app", "shop", "run", "--host=0.0.0.0"]\n',
      "requirements.txt": "flask\n",
    },
    { kind: "gunicorn", app: "shop:app" },
    { extra: ["gunicorn"] },
  ],
  [
    "compose file",
    {
      "srv/__init__.py": "",
      "srv/http.py": fastapi,
      "docker-compose.yml":
        "services:\n  db: { image: postgres }\n  web:\n    build: .\n    command: sh -c 'alembic upgrade head && uvicorn srv.http:app --host 0.0.0.0'\n",
    },
    { kind: "uvicorn", app: "srv.http:app" },
  ],
  [
    "compose file with a list, for developing",
    {
      ...django,
      "requirements.txt": "django\ngunicorn\n",
      "compose.yaml": "services:\n  web:\n    command: [python, manage.py, runserver, 0.0.0.0:8000]\n",
    },
    { kind: "gunicorn", app: "site1.wsgi:application" },
  ],
  [
    "supervisor file",
    {
      "web.py": flask,
      "deploy/supervisord.conf":
        "[program:web]\ncommand=/srv/venv/bin/gunicorn -w 4 web:app ; the site\ndirectory=/srv/shop\n",
    },
    { kind: "gunicorn", app: "web:app", workers: 4 },
  ],
  [
    "systemd unit",
    {
      "web.py": flask,
      "deploy/shop.service":
        "[Unit]\nDescription=shop\n[Service]\nWorkingDirectory=/srv/shop\nExecStart=/srv/shop/venv/bin/gunicorn --workers 3 \\\n  --bind unix:shop.sock web:app\n",
    },
    { kind: "gunicorn", app: "web:app", workers: 3 },
  ],
  [
    "uwsgi.ini with a comment behind the value",
    { "web.py": flask, "uwsgi.ini": "[uwsgi]\nmodule = web:app   ; the site\nprocesses = 2\nthreads = 4\n" },
    { kind: "uwsgi", app: "web:app", config_file: "uwsgi.ini" },
  ],
  [
    "uwsgi.ini with a module and a callable",
    { "web.py": flask, "uwsgi.ini": "[uwsgi]\nmodule = web\ncallable = app\n" },
    { kind: "uwsgi", app: "web:app" },
  ],
  [
    "uwsgi.ini of Django",
    { ...django, "uwsgi.ini": "[uwsgi]\nchdir=/srv/site1\nmodule=site1.wsgi\nsocket=/tmp/x.sock\n" },
    { kind: "uwsgi", app: "site1.wsgi:application" },
  ],
  [
    "uwsgi.yaml",
    { "web.py": flask, "uwsgi.yaml": "uwsgi:\n  wsgi-file: web.py\n  callable: app\n  processes: 3\n" },
    { kind: "uwsgi", app: "web:app", config_file: "uwsgi.yaml" },
  ],
  [
    "gunicorn.conf.py with the application",
    { "shop/web.py": flask, "shop/__init__.py": "", "gunicorn.conf.py": 'wsgi_app = "shop.web:app"\nworkers = 2\n' },
    { kind: "gunicorn", app: "shop.web:app" },
  ],
  [
    "a gunicorn configuration of another name",
    { "web.py": flask, "conf/gunicorn.py": "workers = 2\n", Procfile: "web: gunicorn -c conf/gunicorn.py web:app\n" },
    { kind: "gunicorn", app: "web:app", config_file: "conf/gunicorn.py" },
  ],
  [
    "a task of pyproject.toml",
    {
      "srv/web.py": fastapi,
      "srv/__init__.py": "",
      "pyproject.toml":
        '[project]\nname = "x"\ndependencies = ["fastapi", "uvicorn"]\n[tool.poe.tasks]\nserve = "uvicorn srv.web:app"\n',
    },
    { kind: "uvicorn", app: "srv.web:app" },
  ],
  [
    "a README",
    {
      "one/site.py": flask,
      "two/site.py": flask,
      "one/__init__.py": "",
      "two/__init__.py": "",
      "README.md": "# Shop\n\nRun it:\n\n    $ gunicorn two.site:app\n",
    },
    { kind: "gunicorn", app: "two.site:app" },
  ],
  [
    "pserve",
    {
      "production.ini": "[app:main]\nuse = egg:shop\n",
      "shop/__init__.py": "",
      Procfile: "web: pserve production.ini http_port=$PORT\n",
    },
    { kind: "command", command: "gunicorn --paste production.ini --bind unix:{socket} --umask 0 --workers {workers}" },
  ],
  [
    "streamlit",
    { "main.py": "import streamlit as st\n", Procfile: "web: streamlit run main.py --server.port $PORT\n" },
    { kind: "command", bind: "port" },
  ],
];

test.each(written)("%s", (_, files, server, rest = {}) => {
  const found = detectKind(projectOf(files));
  expect(found).toMatchObject({ found: true, server, ...rest });
});

test("what prepares a release and what works behind it comes with what serves", () => {
  const { processes, release } = survey(
    projectOf({
      ...django,
      Procfile:
        "release: python manage.py migrate && python manage.py warm\nweb: gunicorn site1.wsgi\nworker: celery -A site1 worker -l INFO\nbeat: celery -A site1 beat\nhuey: python manage.py run_huey\nclock: python clock.py\n",
      "compose.yml":
        "services:\n  worker:\n    command: celery -A site1 worker -l INFO\n  rq:\n    command: rq worker high low\n",
    }),
  );
  expect(release).toEqual({
    command: ["sh", "-c", "python manage.py migrate && python manage.py warm"],
    why: "Procfile:1",
  });
  expect(processes).toEqual([
    {
      name: "worker",
      command: "celery -A site1 worker -l INFO --hostname {instance}-{run}@%h",
      stopTimeout: "10m",
      why: "Procfile:3",
    },
    {
      name: "beat",
      command: "celery -A site1 beat --schedule {shared}/celerybeat-schedule --pidfile=",
      overlap: false,
      why: "Procfile:4",
    },
    {
      name: "huey",
      command: "python manage.py run_huey",
      overlap: false,
      stopSignal: "INT",
      stopTimeout: "10m",
      why: "Procfile:5",
    },
    { name: "clock", command: "python clock.py", overlap: false, why: "Procfile:6" },
    { name: "rq", command: "rq worker high low", stopTimeout: "10m", why: "compose.yml:4 (rq)" },
  ]);
});
