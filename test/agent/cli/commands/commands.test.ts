import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeAppView } from "../../../fakes/app-view.ts";
import { testConfig } from "../../host/scratch.ts";
import { TestHost } from "../support.ts";

const release = "20261121T103000Z-3f2c1ab";
let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

test("without an agent every command that needs one says how to start it, and ends with 1", async () => {
  for (const argv of [
    ["status"],
    ["rollback", "shop"],
    ["app", "list"],
    ["logs", "shop"],
    ["app", "remove", "shop", "--yes"],
  ]) {
    const { exit, out, err } = await host.run(argv);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toBe(`error [agent_unreachable] No agent answers on ${host.path("agent.sock")}.
Nothing was changed; sites are served without the agent.
fix: Start it: \`systemctl start cutover-agent\`, or \`cutover-agent --embedded DIR\`. For an agent elsewhere give --socket PATH, or --embedded DIR.
`);
  }
});

test("with --json an error is JSON too", async () => {
  await host.startAgent();
  const { exit, err } = await host.run(["status", "blog", "--json"]);
  expect(exit).toBe(1);
  expect(JSON.parse(err)).toEqual({
    code: "app_not_found",
    detail: "The host has no app blog.",
    fix: "Run `cutover app list`.",
  });
});

test.each([
  [["frobnicate"]],
  [["rollback"]],
  [["status", "--nonsense"]],
  [["rollback", "shop", "--wait", "soon"]],
  [["logs", "shop", "-n", "0"]],
  [["token", "dance", "--key", "k", "--host", "h", "--app", "shop"]],
  [["app", "add", "Shop"]],
])("a wrong command line ends with 2: %j", async (argv) => {
  const { exit, out, err } = await host.run(argv);
  expect([exit, out]).toEqual([2, ""]);
  expect(err).toMatch(/^error: /);
});

test("every command has help with an example that fits 80 columns, and takes --json", async () => {
  const names = [
    "",
    "status",
    "releases",
    "rollback",
    "redeploy",
    "activate",
    "abort",
    "logs",
    "top",
    "ui",
    "exec",
    "pin",
    "unpin",
    "repair",
    "maintenance",
    "maintenance on",
    "maintenance off",
    "app",
    "app add",
    "app list",
    "app show",
    "app remove",
    "keygen",
    "token",
    "env",
    "env set",
    "env unset",
    "env list",
    "init",
    "check",
    "doctor",
    "history",
    "setup",
    "completion",
  ];
  for (const name of names) {
    const { exit, out } = await host.run([...name.split(" ").filter(Boolean), "--help"]);
    expect(exit).toBe(0);
    expect(out).toContain("Example:\n  $ ");
    expect(out).toContain("--json");
    expect(out.split("\n").filter((line) => line.length > 80)).toEqual([]);
  }
});

test("rollback shows each phase with its time as it happens", async () => {
  await host.startAgent();
  host.service.script = [{ type: "state", state: "healthy", took: 1234 }];
  const ran = host.run(["rollback", "shop", "--wait", "7"], {
    onOutput(text) {
      const id = host.service.began.at(-1) ?? "";
      if (text.endsWith("all instances healthy\n"))
        host.service.emit(id, { type: "state", state: "cut_over", took: 5, note: "one rename" });
      if (text.endsWith("(one rename)\n")) host.service.finish(id, "succeeded");
    },
  });
  expect(await ran).toEqual({
    exit: 0,
    err: "",
    out: "    1.2s  all instances healthy\n     5ms  traffic moved (one rename)\nrollback: 20261120T090000Z-9d8e7f6 is live in 9m\n",
  });
  expect(host.service.calls).toEqual([
    { method: "rollback", app: "shop", by: { subject: "local operator" }, waitMs: 7000 },
  ]);
});

test("--wait is how long a command waits for another deployment of the app, and without it none does", async () => {
  await host.startAgent();
  host.service.script = [{ type: "state", state: "healthy", took: 1 }];
  const onOutput = () => host.service.finish(host.service.began.at(-1) ?? "", "succeeded");
  for (const wait of [[], ["--wait", "90"]]) {
    const { exit, err } = await host.run(["redeploy", "shop", ...wait], { onOutput });
    expect([exit, err]).toEqual([0, ""]);
  }
  expect(host.service.calls.map(({ waitMs }) => waitMs)).toEqual([0, 90_000]);
});

test("a deployment that fails ends with 1, its cause, the fix and the last lines", async () => {
  await host.startAgent();
  const failure = {
    code: "health_failed",
    detail: "web-0 answered 500.",
    unchanged: "The live release goes on serving.",
    fix: "Read the traceback.",
    evidence: [{ source: "web-0", text: "Traceback\n\u001b[31mImportError\u001b[0m\n" }],
  };
  const ran = host.run(["redeploy", "shop", release, "--json"]);
  const text = host.run(["redeploy", "shop"]);
  await host.service.hasBegun(2);
  for (const id of host.service.began) host.service.finish(id, "failed", { failure });
  expect(JSON.parse((await ran).out)).toMatchObject({ outcome: "failed", failure });
  expect(await text).toEqual({
    exit: 1,
    err: "",
    out: `redeploy: ${release} failed in 9m
error [health_failed] web-0 answered 500.
The live release goes on serving.
fix: Read the traceback.

--- web-0
Traceback
ImportError
`,
  });
});

test("following continues after the last event when the agent restarts", async () => {
  await host.startAgent();
  const ran = host.run(["activate", "shop", release]);
  await host.service.hasBegun(1);
  const id = host.service.began[0] ?? "";
  host.service.emit(id, { type: "notice", message: "before the restart" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await host.stopAgent();
  host.service.emit(id, { type: "notice", message: "after the restart" });
  host.service.finish(id, "succeeded");
  await host.startAgent();
  const { exit, out } = await ran;
  expect(exit).toBe(0);
  expect(out).toBe(`          before the restart\n          after the restart\nactivate: ${release} is live in 9m\n`);
});

test("--no-follow returns at once; abort undoes", async () => {
  await host.startAgent();
  const begun = await host.run(["redeploy", "shop", "--no-follow", "--json"]);
  const { deployment } = JSON.parse(begun.out) as { deployment: string };
  expect((await host.run(["abort", deployment])).out).toBe("The deployment of shop is aborted.\n");
});

test("logs shows what each instance wrote, without its control characters", async () => {
  await host.startAgent();
  host.service.output.set("shop", [{ source: "web-0", text: "one\n\u001b]0;title\u0007two\r\n" }]);
  expect((await host.run(["logs", "shop", "-n", "5", "--run", `${release}.2`])).out).toBe("==> web-0 <==\none\ntwo\n");
  expect(host.service.calls).toEqual([{ method: "logs", app: "shop", detail: { lines: 5, run: `${release}.2` } }]);
});

test("top shows what visitors see once, if its output is no terminal", async () => {
  await host.startAgent();
  const run = { role: "live" as const, run: release, release, requests: 20, failed: 1, failing: [] };
  host.service.views.set("shop", { ...fakeAppView(), requests: { seconds: 10, runs: [run] } });
  expect((await host.run(["top", "shop"])).out).toMatch(
    /2\.0 requests\/s\n\napp .*\nshop {2}live .* 2\.0 {2}5\.0 %\n$/s,
  );
  expect(JSON.parse((await host.run(["top", "--json"])).out)).toMatchObject([
    { app: "shop", requests: { seconds: 10 } },
  ]);
  expect((await host.run(["top", "--seconds", "0"])).exit).toBe(2);
});

/** The release that the agent says is live, as it is on the host. */
async function putLive(): Promise<string> {
  const { live } = fakeAppView();
  const directory = host.path("data/apps/shop/releases", live ?? "");
  await mkdir(join(directory, "app"), { recursive: true });
  await mkdir(host.path("etc/apps"), { recursive: true });
  await writeFile(host.path("etc/agent.yml"), `data: ${host.path("data")}\n`);
  await writeFile(host.path("etc/apps/shop.yml"), "domains: [shop.example.com]\n");
  await writeFile(host.path("etc/apps/shop.env"), "SECRET_KEY=s\n", { mode: 0o600 });
  const config = testConfig({ env: { GREETING: "hello" } });
  await writeFile(join(directory, "config.json"), JSON.stringify(config));
  return join(directory, "app");
}

test("exec runs with only the release's directory and environment, and returns the exit code", async () => {
  await host.startAgent();
  const directory = await putLive();
  const script =
    'const {writeFileSync: w} = require("node:fs"); w("out.json", JSON.stringify({env: process.env, cwd: process.cwd(), argv: process.argv.slice(1)})); process.exit(7)';
  const { exit, err } = await host.run(["exec", "shop", "--", process.execPath, "-e", script, "--", "--json", "x y"], {
    env: { HOME: "/elsewhere", TERM: "xterm" },
  });
  expect([exit, err]).toEqual([7, ""]);
  const seen = JSON.parse(await readFile(join(directory, "out.json"), "utf8")) as {
    env: Record<string, string>;
    cwd: string;
    argv: string[];
  };
  expect(seen.cwd).toBe(directory);
  expect(seen.argv).toEqual(["--json", "x y"]);
  expect(seen.env).toMatchObject({ SECRET_KEY: "s", GREETING: "hello", TERM: "xterm", CUTOVER_APP: "shop" });
  expect(seen.env.HOME).not.toBe("/elsewhere");
});

test("exec says so when command not found, and when the release is not there", async () => {
  await host.startAgent();
  await putLive();
  const { exit, err } = await host.run(["exec", "shop", "pyhton"]);
  expect(exit).toBe(1);
  expect(err).toContain(`pyhton cannot be run in ${release}: command not found.`);
  await rm(host.path("data/apps/shop/releases"), { recursive: true });
  expect((await host.run(["exec", "shop", "ls"])).err).toContain("[release_not_found]");
});

test("the socket is the one of agent.yml if none is given", async () => {
  await host.startAgent();
  await writeFile(host.path("agent.yml"), `socket: ${host.path("agent.sock")}\n`);
  for (const config of [host.directory, host.path("agent.yml")]) {
    const { exit } = await host.run(["status", "--config", config], { env: { CUTOVER_EMBEDDED: "" } });
    expect(exit).toBe(0);
  }
});

test.each(["shop?", "shop#x", "shop/../shop", "shop%3F"])("A20: app remove %j does not remove shop", async (name) => {
  await host.startAgent();
  const { exit } = await host.run(["app", "remove", name, "--yes"]);
  expect(exit).toBe(1);
  expect(host.service.views.has("shop")).toBe(true);
});

test.each([
  [["deploy", "shop"], "unknown command 'deploy'\nA deploy comes from the app's workflow"],
  [["restart", "shop"], "`cutover redeploy APP` starts the live release on fresh instances."],
  [["restrat", "shop"], "`cutover --help` lists the commands."],
  [["rolback", "shop"], "Did you mean rollback?"],
  [["activate", "shop"], "missing required argument 'release'\nUsage: cutover activate [options] <app> <release>"],
  [["env", "set", "shop"], "Usage: cutover env set [options] <app>"],
  [["activate", "shop", "20261126"], '"20261126" is no release: `cutover releases shop` lists them'],
  [["redeploy", "shop", "v2"], '"v2" is no release: `cutover releases shop` lists them'],
  [["logs", "shop", "web-9"], '"web-9" is no release: `cutover releases shop` lists them'],
])("a wrong command line is told with what would be right: %j", async (argv, says) => {
  const { exit, err } = await host.run(argv);
  expect(exit).toBe(2);
  expect(err).toContain(says);
});

test.each([
  [["status", "--nonsense", "--json"], "unknown option '--nonsense'"],
  [["nonsense", "--json"], "unknown command 'nonsense'"],
  [["history", "--lines", "0", "--json"], "1 to 10000 lines."],
  [["init", "--domain", "a b", "--json"], "a b is not a domain."],
])("a wrong command line is told in JSON with --json: %j", async (argv, detail) => {
  const { exit, err } = await host.run(argv);
  expect(exit).toBe(2);
  expect(JSON.parse(err)).toMatchObject({ code: "request_invalid", detail: expect.stringContaining(detail) });
});
