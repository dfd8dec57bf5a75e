import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { appLayout } from "../../agent/host/store/layout.ts";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

/** Projects that write into themselves, with the built Action, nginx and gunicorn. */

const stack = new AsyncDisposableStack();
let agent: EmbeddedAgent;
let key: Key;

beforeAll(async () => {
  agent = stack.use(await startAgent({ name: "shared" }));
  key = await agent.newKey();
});
afterAll(() => stack.disposeAsync());

const server = (app: string) => `server: { kind: gunicorn, app: "${app}", instances: 1, workers: 1 }
python: { wheels: none, system_site_packages: true }
keep_warm: 0s
watch: 0s
`;

class Project {
  readonly path: string;
  url = "";
  readonly #app: string;

  constructor(app: string) {
    this.#app = app;
    this.path = stack.use(new Scratch(app)).path;
  }

  get layout() {
    return appLayout(join(agent.directory, "data"), this.#app);
  }

  async addApp(): Promise<void> {
    const [port = 0] = await freePorts(1);
    this.url = `http://127.0.0.1:${port}`;
    await agent.addApp({ app: this.#app, key, ports: [port] });
  }

  write(name: string, text: string): void {
    mkdirSync(join(this.path, name, ".."), { recursive: true });
    writeFileSync(join(this.path, name), text);
  }

  async deploy(): Promise<ActionResult> {
    const result = await runAction({ inputs: { hosts: agent.url, "signing-key": key.privatePem }, cwd: this.path });
    expect(result.exitCode, result.stdout).toBe(0);
    return result;
  }

  shared(name: string): string {
    return join(this.layout.shared, name);
  }
}

describe("what startproject makes", () => {
  const project = () => site;
  let site: Project;
  let cookie = "";

  beforeAll(async () => {
    site = new Project("mysite");
    const django = (...words: string[]) =>
      execFileSync(words[0] ?? "", words.slice(1), { cwd: site.path, stdio: "pipe" });
    django("/usr/bin/django-admin", "startproject", "mysite", ".");
    site.write("mysite/local.py", "from .settings import *\nALLOWED_HOSTS = ['*']\n");
    site.write(
      "cutover.yml",
      `app: mysite
${server("mysite.wsgi:application")}health: { path: /admin/login/ }
shared:
  - path: db.sqlite3
release: { command: python manage.py migrate --noinput }
env: { DJANGO_SETTINGS_MODULE: mysite.local }
`,
    );
    // As a student has it: with a database that has a user already.
    django("/usr/bin/python3", "manage.py", "migrate", "--noinput");
    const user = "from django.contrib.auth.models import User; User.objects.create_superuser('ann', '', 'secret-1')";
    django("/usr/bin/python3", "manage.py", "shell", "-c", user);
    await site.addApp();
  });

  async function logIn(): Promise<string> {
    const form = await fetch(`${site.url}/admin/login/`);
    const token = /csrftoken=([^;]+)/.exec(form.headers.get("set-cookie") ?? "")?.[1] ?? "";
    const body = new URLSearchParams({
      username: "ann",
      password: "secret-1",
      csrfmiddlewaretoken: token,
      next: "/admin/",
    });
    const answer = await fetch(`${site.url}/admin/login/`, {
      method: "POST",
      body,
      headers: { cookie: `csrftoken=${token}` },
      redirect: "manual",
    });
    expect(answer.status, await answer.text()).toBe(302);
    return /sessionid=[^;]+/.exec(answer.headers.get("set-cookie") ?? "")?.[0] ?? "";
  }

  const adminStatus = async () =>
    (await fetch(`${project().url}/admin/`, { headers: { cookie }, redirect: "manual" })).status;

  test("starts with the database of the project, and can write into it", async () => {
    const { stdout, outputs } = await site.deploy();
    expect(stdout).toContain("shared/db.sqlite3: starts with what the project has");
    const link = join(site.layout.app(outputs.release ?? ""), "db.sqlite3");
    expect(readlinkSync(link)).toBe("../../../shared/db.sqlite3");
    cookie = await logIn();
    expect(await adminStatus()).toBe(200);
  });

  test("keeps its rows over deploys, whatever the project has then", async () => {
    rmSync(join(site.path, "db.sqlite3"));
    await site.deploy();
    expect(await adminStatus()).toBe(200);
    site.write("db.sqlite3", "not this one");
    const { stdout } = await site.deploy();
    expect(stdout).not.toContain("starts with");
    expect(await adminStatus()).toBe(200);
  });

  test("keeps them over a rollback", async () => {
    expect((await agent.cutover("rollback", "mysite")).code).toBe(0);
    expect(await adminStatus()).toBe(200);
  });
});

describe("folders and files of other projects", () => {
  let site: Project;

  beforeAll(async () => {
    site = new Project("board");
    site.write(
      "board.py",
      `import os, sqlite3

os.makedirs("instance", exist_ok=True)
log = open("log/board.log", "a", buffering=1)

def app(environ, start_response):
    with sqlite3.connect("instance/board.sqlite") as db:
        db.execute("CREATE TABLE IF NOT EXISTS note (text)")
        if environ["REQUEST_METHOD"] == "POST":
            db.execute("INSERT INTO note VALUES ('one more')")
            log.write("written\\n")
        (count,) = db.execute("SELECT count(*) FROM note").fetchone()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(count).encode()]
`,
    );
    site.write("media/logo.txt", "logo\n");
    site.write("media/deep/er.txt", "deeper\n");
    site.write("beat.py", "import sys, time\nopen(sys.argv[1], 'w').write('ticks')\ntime.sleep(600)\n");
    site.write(
      "cutover.yml",
      `app: board
${server("board:app")}shared:
  - path: instance/
  - path: log/
  - { path: media/, url: /media/, from: uploads }
processes:
  beat: { command: "python beat.py {shared}/beat-schedule", stay_up: 100ms }
release: { command: "python -c 'import sys; print(sys.argv[1])' {shared}" }
`,
    );
    await site.addApp();
    await site.deploy();
  });

  test("start empty, or with what the project has, and outlive releases", async () => {
    expect(await (await fetch(site.url, { method: "POST" })).text()).toBe("1");
    await site.deploy();
    expect(await (await fetch(site.url, { method: "POST" })).text()).toBe("2");
    expect(readFileSync(site.shared("log/board.log"), "utf8")).toBe("written\nwritten\n");
    expect(lstatSync(site.shared("uploads/deep/er.txt")).isFile()).toBe(true);
  });

  test("are served by nginx where a url says so", async () => {
    expect(await (await fetch(`${site.url}/media/deep/er.txt`)).text()).toBe("deeper\n");
    writeFileSync(site.shared("uploads/new.txt"), "new\n");
    expect(await (await fetch(`${site.url}/media/new.txt`)).text()).toBe("new\n");
  });

  test("{shared} in commands is the shared directory", async () => {
    expect(readFileSync(site.shared("beat-schedule"), "utf8")).toBe("ticks");
    const { stdout } = await site.deploy();
    expect(stdout).toContain(`release | ${site.layout.shared}`);
    expect(existsSync(site.shared(".uploads.seeding"))).toBe(false);
  });
});
