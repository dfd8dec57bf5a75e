import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
