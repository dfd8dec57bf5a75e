import { existsSync } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { freePortRange, freePorts } from "../harness/ports.ts";

/**
 * Broken projects, and the annotation that a person reads. Those without a Python file at their top are the sample shop with
 * other files in it. They share one host: each is an app of its own, and its first deploy.
 */

const cases = join(import.meta.dirname, "../fixtures/failures");
const shop = join(import.meta.dirname, "../fixtures/shop");

interface Wanted {
  /** The error code; null for a deploy that succeeds. */
  code: string | null;
  /** In the annotation. */
  says: (string | RegExp)[];
  /** Where it points in the repository. */
  at?: string;
  /** A warning of a deploy that succeeds. */
  warns?: string | RegExp;
  /** Added to the address of the agent. */
  path?: string;
}

const nothingLive = "No release is live yet";

const wanted: Record<string, Wanted> = {
  "aiohttp-ignores-socket": {
    code: "instance_died",
    says: [/web-[01] exited during startup: OSError: .*address already in use/, "`{socket}` or `{port}`", nothingLive],
  },
  "asgi-wsgi-kind": {
    code: "health_failed",
    says: ["The server speaks WSGI, and the application is ASGI", "`server.kind: uvicorn`"],
  },
  "celery-broker-down": {
    code: null,
    says: [],
    warns: /^worker-0 runs and does no jobs: Cannot connect to redis:.*Connection refused\. Start that service/,
  },
  "celery-dies-after-stayup-watch": {
    code: "watch_failed",
    says: ["worker-0 exited and was restarted 2 times: lost the broker", "There is no release to go back to"],
  },
  "command-crlf-script": { code: "instance_died", says: ["./start.sh has Windows line ends", ".gitattributes"] },
  "command-exits-0-silent": {
    code: "instance_died",
    says: [
      /during startup with exit code 0 and printed nothing\./,
      "stay in the foreground",
      "`python quiet.py {socket}`",
    ],
  },
  "command-killed": {
    code: "instance_died",
    says: [/^web-0 was killed by SIGKILL during startup and printed nothing\./, "too little memory"],
  },
  "command-not-executable": { code: "instance_died", says: ["git update-index --chmod=+x ./start.sh"] },
  "django-db-down": {
    code: "health_failed",
    says: [
      "SQLite cannot open its file for writing: OperationalError: unable to open database file",
      "folder must exist",
    ],
  },
  "django-migrations-pending": {
    code: "health_failed",
    says: ["OperationalError: no such table: auth_user", "python manage.py migrate --noinput"],
    at: "shop/views.py:19",
  },
  "django-missing-module-settings": {
    code: "instance_died",
    says: ["ModuleNotFoundError: No module named 'corsheaders'", "to the requirements"],
  },
  "django-settings-keyerror-collect": {
    code: "collect_failed",
    says: ["KeyError: 'SECRET_KEY' (shop/settings.py:10)", "in `env` of this step"],
    at: "shop/settings.py:10",
  },
  "django-syntax-error-settings": {
    code: "collect_failed",
    says: ["SyntaxError: expected ':' (shop/settings.py:43)"],
    at: "shop/settings.py:43",
  },
  "django-ssl-redirect": {
    code: null,
    says: [],
    warns: /sends every visitor to https:\/\/shop\.example\.com:\d+\/, and the site does not listen there/,
  },
  "django-syntax-error-view": { code: "health_failed", says: ["SyntaxError: "], at: "shop/views.py:17" },
  "env-file-missing": {
    code: "instance_died",
    says: ["The release has no .env, and secrets do not belong into the repository", "`cutover env set shop NAME`"],
    at: "app.py:1",
  },
  "fastapi-trusted-host": { code: "health_failed", says: ["add shop.example.com to its `allowed_hosts`"] },
  "flask-factory": {
    code: "health_failed",
    says: ["a function that makes the application", "`app: module:create_app()`"],
  },
  "flask-factory-argument": {
    code: "instance_died",
    says: ["wants an argument, and gets none", "Give the argument a default in create_app()"],
  },
  "flask-run-at-import": {
    code: "health_timeout",
    says: ["web-0 listens on 127.0.0.1:5057 instead of its socket", "out of the module"],
  },
  "front-page-fails": {
    code: null,
    says: [],
    warns: /gets 500 through nginx, and the health check, which asks for \/healthz, does not show it/,
  },
  "front-page-localhost": {
    code: null,
    says: [],
    warns: "sends every visitor to http://localhost:8000/login, which is the visitor's own machine",
  },
  "gunicorn-silent-exit": {
    code: "instance_died",
    says: ["its workers end as soon as they start and print no reason", '`python -c "import app"`'],
  },
  "listens-but-hangs": { code: "health_timeout", says: ["accepted the connection and did not answer GET / within 6s"] },
  "manage-no-exec-collect": { code: "collect_failed", says: ["git update-index --chmod=+x ./manage.py"] },
  "merge-conflict": {
    code: "instance_died",
    says: ["A merge conflict is left in a file: <<<<<<< HEAD (app.py:1)", "git grep -nE"],
    at: "app.py:1",
  },
  "page-breaks-off": {
    code: "health_failed",
    says: ["answered 200 to GET / ", "broke off in the middle of the page. TypeError: '<p>hello</p>' is not a byte"],
  },
  "redirect-to-broken-page": {
    code: "watch_failed",
    says: ["/dashboard gets 500 through nginx: RuntimeError: no customers table (app.py:13)"],
    at: "app.py:13",
  },
  "release-line-ends": {
    code: "release_command_failed",
    says: ["cannot start ./migrate.sh", "with Windows line ends"],
  },
  "release-timeout": {
    code: "timed_out",
    says: ["The release command took longer than 3s (release.timeout)", "It had printed nothing"],
  },
  "secret-in-output": { code: "instance_died", says: ["its workers end as soon as they start"] },
  "settings-class": {
    code: "instance_died",
    says: ["The environment has no variable DATABASE_URL", "`cutover env set shop DATABASE_URL`"],
    at: "app.py:5",
  },
  "ssl-redirect-loop": {
    code: null,
    says: [],
    warns:
      /sends every visitor to https:\/\/.*the site does not listen there on this host\. Add "\d+ ssl" to site\.listen/,
  },
  "startup-hangs": {
    code: "health_timeout",
    says: ["The start-up handler of the application has not ended", "Find what it waits for"],
  },
  "static-folder-empty": { code: "health_failed", says: ["Missing staticfiles manifest entry for 'shop/site.css'"] },
  "static-manifest-missing-entry": { code: "health_failed", says: ["collectstatic did not collect shop/nope.css"] },
  "static-root-not-set": {
    code: "collect_failed",
    says: ["ImproperlyConfigured: ", "Set STATIC_ROOT in the settings"],
  },
  "style-sheet-missing": {
    code: null,
    says: [],
    warns: /loads http:\/\/shop\.example\.com:\d+\/static\/site\.css, and visitors get 404 for it/,
  },
  "tornado-ignores-port": {
    code: "instance_died",
    says: [/web-[01] exited during startup: OSError: .*Address already in use/, "`{socket}` or `{port}`"],
  },
  "uvicorn-lifespan": {
    code: "instance_died",
    says: ["RuntimeError: cannot reach the search index at http://10.9.9.9:9200 (app.py:3)"],
    at: "app.py:3",
  },
  "worker-detached": {
    code: "instance_died",
    says: ["worker-0 exited during startup", "No release is live yet.", "`--detach` in its command sends it to the"],
  },
  "uwsgi-view-500": {
    code: "health_timeout",
    says: ["closes the connection without an answer", "No module named 'nosuchmodule'"],
    at: "mysite/views.py:1",
  },
};

const literal = (text: string) => new RegExp(text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));

let agent: EmbeddedAgent;
let key: Key;
beforeAll(async () => {
  agent = await startAgent();
  key = await agent.newKey();
});
afterAll(() => agent?.[Symbol.asyncDispose]());

async function deploy(name: string, path = ""): Promise<ActionResult> {
  const directory = join(agent.scratch.path, name);
  const files = join(cases, name);
  const own = existsSync(join(files, "manage.py")) || (await readdir(files)).some((file) => file.endsWith(".py"));
  if (!own) await cp(shop, directory, { recursive: true });
  await cp(files, directory, { recursive: true });
  const [port = 0] = await freePorts(1);
  const portRange = await freePortRange(10);
  await agent.addApp({ key, ports: [port], portRange, domains: ["shop.example.com"] });
  try {
    return await runAction({ inputs: { hosts: `${agent.url}${path}`, "signing-key": key.privatePem }, cwd: directory });
  } finally {
    await agent.cutover("app", "remove", "shop", "--yes");
  }
}

test.each(Object.entries(wanted))("%s: the annotation says the cause and what to do", async (name, row) => {
  const { exitCode, annotations, stdout } = await deploy(name, row.path);
  expect(exitCode, stdout).toBe(row.code === null ? 0 : 1);
  const level = row.code === null ? "warning" : "error";
  expect(annotations.map((each) => each.level)).toEqual([level]);
  const [annotation] = annotations;
  if (row.code !== null) expect(stdout).toContain(`: ${row.code}`);
  for (const text of [...row.says, ...(row.warns === undefined ? [] : [row.warns])]) {
    expect(annotation?.message).toMatch(text instanceof RegExp ? text : literal(text));
  }
  if (row.at !== undefined) expect(annotation?.at).toBe(row.at);
  expect(annotation?.message).not.toContain("below");
});
