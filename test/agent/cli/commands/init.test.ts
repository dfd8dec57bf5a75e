import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { TestHost } from "../support.ts";

let host: TestHost;
let shop: string;

beforeEach(async () => {
  host = await TestHost.make();
  shop = host.path("shop");
  await cp("test/fixtures/shop", shop, { recursive: true });
  await rm(join(shop, "cutover.yml"));
});
afterEach(() => host.close());

const read = (...path: string[]) => readFile(join(shop, ...path), "utf8");

test("init writes two files that check finds good, and says what comes next", async () => {
  const { exit, out, err } = await host.run(["init", shop]);
  expect([exit, err]).toEqual([0, ""]);
  expect(out).toContain("cutover app add shop --user shop");
  expect(parse(await read("cutover.yml"))).toMatchObject({
    app: "shop",
    server: { kind: "gunicorn", app: "shop.wsgi:application" },
    static: [{ from: "staticfiles" }],
    env: { DJANGO_SETTINGS_MODULE: "shop.settings" },
  });
  const checked = await host.run(["check", join(shop, "cutover.yml")]);
  expect(checked).toEqual({ exit: 0, err: "", out: `${shop}/cutover.yml is good: shop on gunicorn.\n` });
  const workflow = parse(await read(".github/workflows/deploy.yml"));
  expect(workflow).toMatchObject({
    permissions: { contents: "read", "id-token": "write" },
    concurrency: { group: "deploy-shop", "cancel-in-progress": false },
    jobs: { deploy: { environment: "production" } },
  });
  expect(workflow.jobs.deploy.steps.at(-1)).toEqual({
    uses: "cutover/cutover@v1.2.3",
    with: { hosts: "$" + "{{ vars.CUTOVER_HOSTS }}" },
  });
});

test.each(["2048", "06", "1e3", "0x1f", "true", "null"])("a folder named %s is a name, not a number", async (name) => {
  const { exit } = await host.run(["init", shop, "--name", name]);
  const checked = await host.run(["check", join(shop, "cutover.yml")]);
  expect([exit, checked.exit, checked.out]).toEqual([0, 0, expect.stringContaining(`is good: ${name} on gunicorn.`)]);
});

test.each([
  ["a list that does not end", '[project]\ndependencies = ["django",\n'],
  ["a key given twice", '[project]\nname = "a"\nname = "b"\n'],
])("check says of a pyproject.toml with %s that nothing in it counts", async (_, text) => {
  await writeFile(join(shop, "pyproject.toml"), text);
  await host.run(["init", shop]);
  const checked = await host.run(["check", join(shop, "cutover.yml")]);
  expect(checked.exit).toBe(0);
  expect(`${checked.out}${checked.err}`).toMatch(/pyproject\.toml cannot be read: .*\. Nothing in it counts/);
});

test.each([
  ["https://github.com/acme/shop.git", "acme/shop"],
  ["git@github.com:acme/shop.git", "acme/shop"],
  ["ssh://git@ghes.example.com:2222/acme/my.shop", "acme/my.shop"],
  ["/srv/git", "OWNER/NAME"],
])("init reads the repository's name out of the remote %s", async (url, name) => {
  await mkdir(join(shop, ".git"), { recursive: true });
  await writeFile(
    join(shop, ".git/config"),
    `[core]\n\tbare = false\n[remote "origin"]\n\turl = ${url}\n\tfetch = x\n`,
  );
  const { out } = await host.run(["init", shop]);
  expect(out).toContain(`--github ${name} --environment production`);
});

test("every line that init writes has a comment, but for the schema's and those that only open a step", async () => {
  await host.run(["init", shop]);
  for (const file of ["cutover.yml", ".github/workflows/deploy.yml"]) {
    const bare = (await read(file)).split("\n").filter((line) => line !== "" && !line.includes("# "));
    expect(bare.filter((line) => line.trim() !== "with:")).toEqual([]);
  }
});

test("the README's first deploy shows what init writes", async () => {
  const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
  await host.run(["init", shop, "--domain", "shop.example.com"]);
  const readme = await readFile("README.md", "utf8");
  for (const file of ["cutover.yml", ".github/workflows/deploy.yml"]) {
    expect(readme).toContain(`\`\`\`yaml\n${(await read(file)).replaceAll("v1.2.3", `v${version}`)}\`\`\``);
  }
});

test.each([
  ["django-gunicorn", "gunicorn"],
  ["django-uwsgi", "uwsgi"],
  ["tornado", "tornado"],
  ["aiohttp", "aiohttp"],
  ["asgi", "uvicorn"],
])("init knows the stack %s, and check finds what it writes good", async (stack, kind) => {
  const directory = host.path(stack);
  await cp(`test/fixtures/stacks/${stack}`, directory, { recursive: true });
  await rm(join(directory, "cutover.yml"), { force: true });
  expect(await host.run(["init", directory])).toMatchObject({ exit: 0, err: "" });
  expect(parse(await readFile(join(directory, "cutover.yml"), "utf8")).server.kind).toBe(kind);
  const { exit, out } = await host.run(["check", join(directory, "cutover.yml"), "--json"]);
  expect([exit, JSON.parse(out)]).toMatchObject([0, { ok: true, kind, faults: [] }]);
});

test("init overwrites nothing, and prints without writing", async () => {
  await writeFile(join(shop, "cutover.yml"), "mine\n");
  const { exit, err } = await host.run(["init", shop]);
  expect([exit, err.split("\n", 1)[0]]).toEqual([1, `error [file_exists] ${shop}/cutover.yml exists already.`]);
  expect(await read("cutover.yml")).toBe("mine\n");
  await expect(stat(join(shop, ".github"))).rejects.toThrow();
  const dry = await host.run(["init", shop, "--dry-run"]);
  expect(dry.out).toContain("kind: gunicorn");
  expect(await read("cutover.yml")).toBe("mine\n");
  expect((await host.run(["init", shop, "--force"])).exit).toBe(0);
  expect(await read("cutover.yml")).toContain("kind: gunicorn");
});

test("init below the repository's top: the workflow goes to the top, and knows the folder and the branch", async () => {
  await promisify(execFile)("git", ["init", "-q", "-b", "live", host.directory]);
  await mkdir(host.path("apps"));
  await cp(shop, host.path("apps/My_Shop"), { recursive: true });
  await writeFile(host.path("apps/My_Shop/.python-version"), "3.12.4\n");
  expect((await host.run(["init", host.path("apps/My_Shop")])).exit).toBe(0);
  const workflow = parse(await readFile(host.path(".github/workflows/deploy.yml"), "utf8"));
  expect(workflow.on.push.branches).toEqual(["live"]);
  const [, python, deploy] = workflow.jobs.deploy.steps;
  expect(python.with["python-version"]).toBe("3.12");
  expect(deploy.with["working-directory"]).toBe("apps/My_Shop");
  expect(parse(await readFile(host.path("apps/My_Shop/cutover.yml"), "utf8")).app).toBe("my-shop");
});

test("init says so if nothing shows the kind, and takes it from the options", async () => {
  await mkdir(host.path("empty"));
  const { exit, err } = await host.run(["init", host.path("empty")]);
  expect([exit, err]).toEqual([1, expect.stringContaining("error [kind_unknown]")]);
  const argv = ["init", host.path("empty"), "--kind", "command", "--command", "bin/serve {socket}"];
  expect((await host.run([...argv, "--name", "chat"])).exit).toBe(0);
  expect((await host.run(["check", host.path("empty/cutover.yml")])).exit).toBe(0);
  expect(await host.run(["init", shop, "--name", "Shop!"])).toMatchObject({ exit: 2 });
});

test("init takes a port from the command line, with what the host needs for it", async () => {
  await mkdir(host.path("chat"));
  const argv = ["init", host.path("chat"), "--kind", "tornado", "--command", "python blog.py --port={port}"];
  await writeFile(host.path("chat/blog.py"), "import tornado.web\n");
  const { exit, out } = await host.run(argv);
  expect([exit, out]).toEqual([0, expect.stringContaining("--listen 80 --ports 9000-9099")]);
  expect(parse(await readFile(host.path("chat/cutover.yml"), "utf8")).server).toMatchObject({ bind: "port" });
});

test("init ends with 1 when check would refuse what it wrote", async () => {
  const argv = ["init", shop, "--kind", "gunicorn", "--app", "shop.nowhere:app"];
  const { exit, out } = await host.run(argv);
  expect([exit, out]).toEqual([1, expect.stringContaining("error: server.app: shop.nowhere:app")]);
});

const flask = "from flask import Flask\napp = Flask(__name__)\n";

async function project(folder: string, files: Record<string, string>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(host.path(folder, file)), { recursive: true });
    await writeFile(host.path(folder, file), text);
  }
}

test("init asks a person which of several applications it is, and tells a script", async () => {
  const second = "from fastapi import FastAPI\napp = FastAPI()\n";
  await project("two", {
    "app.py": flask,
    "main.py": second,
    "requirements.txt": "flask\nfastapi\ngunicorn\nuvicorn\n",
  });
  const { exit, err } = await host.run(["init", host.path("two")]);
  expect([exit, err]).toEqual([1, expect.stringContaining("cutover init --kind uvicorn --app main:app")]);
  const answered = await host.run(["init", host.path("two")], { typed: "2" });
  expect(answered.out).toContain("1  kind: gunicorn");
  expect(answered.exit).toBe(0);
  expect(parse(await readFile(host.path("two/cutover.yml"), "utf8")).server.app).toBe("main:app");
});

test("init in a repository of several projects: one is chosen, or each gets a workflow of its own", async () => {
  await project("mono", {
    "services/orders/app.py": flask,
    "services/orders/requirements.txt": "flask\ngunicorn\n",
    "backend/app.py": flask,
    "backend/requirements.txt": "flask\ngunicorn\n",
    "examples/app/requirements.txt": "flask\n",
    ".github/workflows/deploy.yml": "name: docs\non: push\n",
  });
  const refused = await host.run(["init", host.path("mono")]);
  expect([refused.exit, refused.err]).toEqual([
    1,
    expect.stringContaining("holds 2 projects: backend, services/orders."),
  ]);
  const { exit, out } = await host.run(["init", host.path("mono"), "--all"]);
  expect([exit, out]).toEqual([0, expect.stringContaining("Found in services/orders/:")]);
  const workflow = async (name: string) => parse(await readFile(host.path("mono/.github/workflows", name), "utf8"));
  expect(await workflow("deploy.yml")).toEqual({ name: "docs", on: "push" });
  for (const [name, folder] of [
    ["deploy-mono.yml", "backend"],
    ["deploy-orders.yml", "services/orders"],
  ] as const) {
    const { on, jobs } = await workflow(name);
    expect(on.push.paths).toEqual([`${folder}/**`, `.github/workflows/${name}`]);
    expect(jobs.deploy.steps.at(-1).with["working-directory"]).toBe(folder);
  }
});

test("init in a folder whose requirements are one above says where to run it", async () => {
  const name = "15-manage-py-in-a-folder-requirements-above";
  await cp(`test/fixtures/cases/projects/${name}`, host.path("outer"), { recursive: true });
  const { exit, err } = await host.run(["init", host.path("outer/mysite")]);
  expect([exit, err]).toEqual([1, expect.stringContaining(`cutover init ${host.path("outer")}`)]);
});

test("init and check look through 30,000 files in little processor time", async () => {
  await project("large", { "app.py": flask, "requirements.txt": "flask\ngunicorn\n" });
  for (let folder = 0; folder < 300; folder++) {
    await mkdir(host.path("large/shop", `part${folder}`), { recursive: true });
    const files = Array.from({ length: 100 }, (_, index) => host.path("large/shop", `part${folder}`, `m${index}.py`));
    await Promise.all(files.map((file) => writeFile(file, "import app\n\ndef view(request):\n    return app.name\n")));
  }
  // On a busy machine the clock says nothing. Python, which is a process of its own, has a limit of a second.
  const before = process.resourceUsage();
  expect((await host.run(["init", host.path("large")])).exit).toBe(0);
  expect((await host.run(["check", host.path("large/cutover.yml")])).exit).toBe(0);
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const spent = userCPUTime + systemCPUTime - before.userCPUTime - before.systemCPUTime;
  expect(spent / 1e6).toBeLessThan(2);
});

test("check shows all faults with line and column, of the file and of the project", async () => {
  await host.run(["init", shop]);
  const file = join(shop, "cutover.yml");
  await writeFile(file, "app: shop\nserver:\n  kind: gunicron\nkeep: 1\n");
  expect(await host.run(["check", file])).toEqual({
    exit: 1,
    err: "",
    out: `${file}:3:3: error: server.kind: "gunicron" is not allowed; allowed here: one of gunicorn, uwsgi, tornado, aiohttp, uvicorn, hypercorn, daphne, granian, waitress, command. Did you mean gunicorn?
${file}:4:1: error: keep: must be at least 2
Correct these 2 lines.
`,
  });
  await writeFile(file, "app: shop\nserver:\n  app: shop.wsgi:app\nenv:\n  HOME: /tmp\n");
  const { exit, out } = await host.run(["check", file, "--json"]);
  expect(exit).toBe(1);
  expect(JSON.parse(out)).toEqual({
    file,
    ok: false,
    app: "shop",
    kind: "gunicorn",
    faults: [
      { line: 3, column: 3, severity: "error", message: "server.app: shop.wsgi:app: shop/wsgi.py has no `app`" },
      { line: 5, column: 3, severity: "warning", message: "env.HOME: has no effect: cutover sets it itself" },
    ],
  });
});

test("check without a file, and of what is not YAML", async () => {
  expect(await host.run(["check", join(shop, "none.yml")])).toMatchObject({
    exit: 1,
    err: expect.stringContaining("error [config_not_found]"),
  });
  await writeFile(join(shop, "cutover.yml"), "app: [\n");
  expect(await host.run(["check", join(shop, "cutover.yml")])).toMatchObject({ exit: 1, err: "" });
});

test("A21: a directory that is not there is no defect", async () => {
  const { exit, err } = await host.run(["init", host.path("nosuch")]);
  expect([exit, err]).toEqual([1, expect.stringContaining(`error [request_invalid] There is no directory`)]);
  const file = await host.run(["init", join(shop, "manage.py")]);
  expect([file.exit, file.err]).toEqual([1, expect.stringContaining("cannot be read: ENOTDIR.")]);
});

test("init says of a template that it is no project", async () => {
  const folder = "{{cookiecutter.project_slug}}";
  await mkdir(host.path("template", folder), { recursive: true });
  await writeFile(host.path("template", folder, "app.py"), "from flask import Flask\napp = Flask(__name__)\n");
  const { exit, err } = await host.run(["init", host.path("template")]);
  expect([exit, err]).toEqual([
    1,
    expect.stringContaining(`is a template, not a project: its folder is named ${folder}.`),
  ]);
  expect(err).toContain("fix: Make a project of it first");
});
