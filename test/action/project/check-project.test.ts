import { execFileSync } from "node:child_process";
import { describe, expect, it, test } from "vitest";
import { pack } from "../../../action/bundle/pack.ts";
import { checkProject } from "../../../action/project/check-project.ts";
import { jobIn } from "../job-in.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { refusal, Workspace } from "../workspace.ts";

const wsgi = { "p/shop/wsgi.py": "application = 1\n" };

const nothing = () => [];

describe("before anything is packed", () => {
  it("faults of the project stop the job, with their places in cutover.yml", async () => {
    using space = new Workspace(wsgi);
    const config = { static: [{ url: "/static/", from: "public" }], release: { command: "python manage.py migrate" } };
    const job = { ...jobIn(space, { config }), at: (path: unknown[]) => ({ line: path.length, column: 3 }) };
    const error = await refusal(() => checkProject(job, nothing));
    expect(error).toMatchObject({ code: "config_invalid", unchanged: "Nothing was sent." });
    expect(error.message.split("\n")).toEqual([
      "cutover.yml:2:3: release.command: the project has no manage.py",
      expect.stringMatching(/^cutover\.yml:3:3: static\.0\.from: the project has no folder public/),
    ]);
  });

  it("warnings are annotations next to the line", async () => {
    using space = new Workspace({ ...wsgi, "p/requirements.txt": "flask\n" });
    const console = new RecordedConsole();
    const inputs = { "INPUT_DRY-RUN": "true", "INPUT_WORKING-DIRECTORY": "./apps/shop" };
    await checkProject({ ...jobIn(space, { console, inputs }), at: () => ({ line: 7, column: 2 }) }, nothing);
    expect(console.taken).toEqual([
      {
        command: "warning",
        text: "apps/shop/cutover.yml:7: server.kind: requirements.txt does not name gunicorn, which the instances run on; add it there, or write `python: { extra: [gunicorn] }`",
      },
    ]);
  });

  it("a limit that is longer than the job's own is a warning", async () => {
    using space = new Workspace(wsgi);
    const console = new RecordedConsole();
    const config = { python: { wheels: "none" }, release: { command: "true", timeout: "30m" } };
    await checkProject(jobIn(space, { config, console }), nothing);
    expect(console.taken[0]?.text).toContain("release.timeout is 30m, and the input timeout ends the job after 20m");
  });

  it("several hosts with files of their own are a warning", async () => {
    using space = new Workspace(wsgi);
    const console = new RecordedConsole();
    const config = { python: { wheels: "none" }, shared: [{ path: "db.sqlite3" }] };
    const inputs = { INPUT_HOSTS: "https://web1.example.com:7070\nhttps://web2.example.com:7070" };
    await checkProject(jobIn(space, { config, inputs, console }), nothing);
    expect(console.taken[0]?.text).toContain("shared.0.path: each of the 2 hosts has a db.sqlite3 of its own");
    await checkProject(
      jobIn(space, { config, inputs: { INPUT_HOSTS: "https://web1.example.com:7070" }, console }),
      nothing,
    );
    expect(console.taken).toHaveLength(1);
  });
});

/** The warnings of a job that packs these files. */
async function packed(
  files: Record<string, string>,
  config: object = {},
  change = (_: Workspace) => {},
): Promise<string[]> {
  using space = new Workspace({ ...wsgi, ...files });
  change(space);
  const console = new RecordedConsole();
  await pack(jobIn(space, { config: { python: { wheels: "none" }, ...config }, console }));
  return console.taken.filter(({ command }) => command === "warning").map(({ text }) => text);
}

const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n";

describe("what a project packs by mistake is a warning by name", () => {
  it("files of secrets, but not their templates", async () => {
    const [warning, ...others] = await packed({
      "p/.env": "A=b\n",
      "p/deploy/prod.env": "",
      "p/.env.example": "",
      "p/.env.sample": "",
    });
    expect(others).toEqual([]);
    expect(warning).toMatch(/^\.env: Secrets in the bundle, by their names: \.env, deploy\/prod\.env\. /);
    expect(warning).toContain("`exclude: [/.env, /deploy/prod.env]`");
  });

  it("private keys, but not certificates", async () => {
    const public_ = "-----BEGIN CERTIFICATE-----\nx\n";
    const [warning, ...others] = await packed({ "p/id_ed25519": key, "p/ca.pem": public_, "p/tls/site.key": key });
    expect(others).toEqual([]);
    expect(warning).toContain("Private keys in the bundle: id_ed25519, tls/site.key.");
  });

  it("databases that are not linked", async () => {
    const database = (space: Workspace) => {
      const script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE a (b)')";
      execFileSync("/usr/bin/python3", ["-c", script, space.at("p/db.sqlite3")]);
    };
    const [warning, ...others] = await packed({}, {}, database);
    expect(others).toEqual([]);
    expect(warning).toContain("Databases in the bundle: db.sqlite3.");
    expect(warning).toContain("`shared: [{ path: db.sqlite3 }]`");
    expect(await packed({}, { shared: [{ path: "db.sqlite3" }] }, database)).toEqual([]);
    expect(await packed({}, { exclude: ["/db.sqlite3"] }, database)).toEqual([]);
  });

  it("pointers of Git LFS", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12345\n`;
    const files = Object.fromEntries(["a", "b", "c", "d", "e", "f g"].map((name) => [`p/img/${name}.png`, pointer]));
    const [warning, ...others] = await packed(files);
    expect(others).toEqual([]);
    expect(warning).toContain("img/e.png and 1 more.");
    expect(warning).toContain("`lfs: true`");
    expect((await packed({ "p/f g.png": pointer }))[0]).toContain('`exclude: ["/f g.png"]`');
  });
});

test("Python reads the project while this process does something else, and finds the same", async () => {
  using space = new Workspace({
    ...wsgi,
    "p/requirements.txt": "quart\ngunicorn\n",
    "p/shop/chat.py":
      "from quart import Quart\n\napp = Quart(__name__)\n\n@app.websocket('/chat')\nasync def chat():\n    pass\n",
  });
  const console = new RecordedConsole();
  const order: string[] = [];
  const done = checkProject(jobIn(space, { console }), () => {
    order.push("read");
    return [];
  }).then(() => order.push("checked"));
  order.push("goes on");
  await done;
  expect(order).toEqual(["read", "goes on", "checked"]);
  expect(console.taken.map(({ text }) => text).join("\n")).toContain("shop/chat.py:5 has WebSockets");
});
