import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { TestHost } from "../../agent/cli/support.ts";

/** Projects as somebody would have them, each with what is wanted of it in its WANTED.md. */
const cases = "test/fixtures/cases/projects";

interface Wanted {
  /** Parts of cutover.yml. */
  file?: object;
  /** Where it is written, if not at the top. */
  folder?: string;
  /** What cutover.yml must not have. */
  without?: string[];
  /** What is said of it. */
  says?: RegExp;
  /** 0 unless it cannot work as it is. */
  exit?: 1;
  /** The version of Python in the workflow. */
  python?: string;
  workflow?: string;
}

const gunicorn = (app: string) => ({ server: { kind: "gunicorn", app } });
const mysite = gunicorn("mysite.wsgi:application");

const wanted: Record<string, Wanted> = {
  "01-django-requirements-without-server": {
    file: { ...mysite, python: { extra: ["gunicorn"] } },
    without: ["release"],
    says: /gunicorn is added, since the requirements do not name it/,
  },
  "02-flask-beside-manage-py": { file: gunicorn("wsgi:app") },
  "03-wsgi-names-production-settings": { file: { env: { DJANGO_SETTINGS_MODULE: "mysite.settings.production" } } },
  "04-static-url-not-static": { file: { static: [{ url: "/s/", from: "staticfiles" }] } },
  "06-static-root-absolute": {
    file: mysite,
    without: ["static"],
    says: /STATIC_ROOT is \/home\/me.*outside of the project/,
  },
  "07-static-root-missing": { file: mysite, without: ["static"], says: /mysite.settings has no STATIC_ROOT/ },
  // What gunicorn.conf.py may decide is the instances' business: it deploys.
  "09-gunicorn-conf-reuse-port": { file: mysite },
  "10-gunicorn-conf-daemon": { file: mysite, says: /gunicorn\.conf\.py:2: daemon = True does not count: supervisor/ },
  "11-sqlite-in-the-project": {
    // Without a database Django refuses to migrate: the other cases have no release command.
    file: { ...mysite, release: { command: "python manage.py migrate --noinput" }, shared: [{ path: "db.sqlite3" }] },
    says: /db\.sqlite3: the SQLite database .*\n(?:.*\n)*.*For more hosts use a database server/,
  },
  "13-pyproject-and-lock-only": { file: { server: { kind: "uvicorn", app: "app.main:app" } }, python: "3.12" },
  // The top has the requirements, so it is the project; nothing has to be run in another folder.
  "15-manage-py-in-a-folder-requirements-above": {
    file: {
      ...mysite,
      static: [{ collect: "python mysite/manage.py collectstatic --noinput", from: "mysite/staticfiles" }],
      env: { PYTHONPATH: "mysite", DJANGO_SETTINGS_MODULE: "mysite.settings" },
    },
  },
  "16-backend-folder": {
    folder: "backend",
    file: { server: { kind: "uvicorn", app: "app.main:app" } },
    says: /Found in backend\//,
    python: "3.12",
  },
  "17-script-one-folder-below-with-imports-of-its-own": {
    folder: "api",
    file: { server: { kind: "uvicorn", app: "main:app" } },
  },
  "18-flask-script-of-another-name": {
    file: {
      ...gunicorn("blog:app"),
      release: { command: "flask db upgrade" },
      processes: { worker: { command: "rq worker blog-tasks" } },
    },
  },
  "21-bottle": { file: gunicorn("app:app") },
  "22-uwsgi-ini-wsgi-file-and-callable": {
    file: { server: { kind: "uwsgi", app: "run:app", config_file: "uwsgi.ini" } },
  },
  "24-tornado-script-of-another-name": {
    file: { server: { kind: "tornado", command: "python blog.py --port={port}", bind: "port" } },
    says: /--ports 9000-9099/,
  },
  "25-websockets": {
    file: { server: { kind: "tornado" }, site: { upgrade: true } },
    says: /WebSockets \(app\.py:\d+\)/,
  },
  "27-aiohttp-devtools-get-app": { file: { server: { kind: "aiohttp", app: "shop.main:init" } } },
  "28-aiohttp-factory-with-a-config": { says: /init_app in main\.py:5 needs `config`/, exit: 1 },
  "30-settings-not-in-the-repository": {
    file: mysite,
    says: /is mysite\.settings, and the project has no mysite\/settings\.py/,
    exit: 1,
  },
  "32-workflow-of-that-name": { file: mysite, workflow: "deploy-mysite.yml" },
  "34-first-deploy-fails": { file: mysite },
  "35-no-static-file-at-all": { file: { static: [{ url: "/static/", from: "staticfiles" }] } },
  "36-import-error-under-uvicorn": { file: { server: { kind: "uvicorn", app: "main:app" } } },
  "38-database-committed": { file: { ...mysite, shared: [{ path: "db.sqlite3" }] } },
  "40-wheel-built-on-the-runner": { file: { server: { kind: "uwsgi", app: "mysite.wsgi:application" } } },
};

let host: TestHost;
let directory: string;

beforeEach(async () => {
  host = await TestHost.make();
  directory = mkdtempSync(join(tmpdir(), "case-"));
  return () => rmSync(directory, { recursive: true, force: true });
});
afterEach(() => host.close());

test("each case has a row", () => {
  expect(readdirSync(cases).toSorted()).toEqual(Object.keys(wanted).toSorted());
});

test.each(Object.entries(wanted))("%s gives what its WANTED.md says", async (name, each) => {
  const project = join(directory, "mysite");
  cpSync(join(cases, name), project, { recursive: true });
  const before = name.startsWith("32") ? readFileSync(join(project, ".github/workflows/deploy.yml"), "utf8") : "";
  const { exit, out, err } = await host.run(["init", project]);
  if (each.says !== undefined) expect(out + err).toMatch(each.says);
  expect(exit, out + err).toBe(each.exit ?? 0);
  if (each.file === undefined) return;
  const file = parse(readFileSync(join(project, each.folder ?? "", "cutover.yml"), "utf8")) as Record<string, unknown>;
  expect(file).toMatchObject(each.file);
  for (const key of each.without ?? []) expect(file).not.toHaveProperty(key);
  const workflow = readFileSync(join(project, ".github/workflows", each.workflow ?? "deploy.yml"), "utf8");
  const steps = (parse(workflow) as { jobs: { deploy: { steps: { with?: Record<string, string> }[] } } }).jobs.deploy
    .steps;
  if (each.python !== undefined) expect(steps[1]?.with?.["python-version"]).toBe(each.python);
  expect(steps.at(-1)?.with?.["working-directory"]).toBe(each.folder);
  if (before !== "") expect(readFileSync(join(project, ".github/workflows/deploy.yml"), "utf8")).toBe(before);
});
