import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { pathOf } from "../../shared/call.ts";
import { calls } from "../../shared/protocol.ts";
import { copyStack, type Stack, type StackOptions, stacks } from "../fixtures/stacks.ts";
import { runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { deployProject, finished } from "../harness/deploy.ts";
import { freePortRange, freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";
import { askAsClients, shareOf } from "../load/clients.ts";
import type { LoadOptions } from "../load/options.ts";
import { startLoadProcess } from "../load/process.ts";
import { describeReport, type LoadReport } from "../load/report.ts";

/** Every kind of server, deployed by a real agent with a real nginx and supervisord, while visitors come. */

let agent: EmbeddedAgent;
let key: Key;
let scratch: Scratch;
let url: string;

const apps: Record<Stack, string> = {
  "django-gunicorn": "art",
  "django-uwsgi": "mysite",
  tornado: "tornados",
  aiohttp: "example",
  asgi: "api",
};

beforeAll(async () => {
  agent = await startAgent();
  key = await agent.newKey();
});
afterAll(() => agent?.[Symbol.asyncDispose]());
beforeEach(async () => {
  const made = new Scratch("stack");
  scratch = made;
  return async () => {
    await made[Symbol.asyncDispose]();
    for (const app of added.splice(0)) {
      const { code, stderr } = await agent.cutover("app", "remove", app, "--yes");
      expect(code, stderr).toBe(0);
    }
  };
});

const added: string[] = [];

async function addApp(app: string, portRange?: string): Promise<void> {
  const [port = 0] = await freePorts(1);
  await agent.addApp({ app, key, ports: [port], ...(portRange !== undefined && { portRange }) });
  added.push(app);
  url = `http://127.0.0.1:${port}`;
}

/**
 * By the built Action. Old instances go as soon as they are drained: a request too early or too late would fail.
 * @returns the host's part of the Action's result
 */
async function deploy(stack: Stack, version: string, config: StackOptions["config"] = {}): Promise<{ cut?: number }> {
  const cwd = join(scratch.path, "checkout");
  await copyStack(cwd, stack, { version, config: { keep_warm: "0s", ...config } });
  const inputs = { hosts: agent.url, "signing-key": key.privatePem };
  const { exitCode, stdout, outputs } = await runAction({ inputs, cwd });
  expect(exitCode, stdout).toBe(0);
  return JSON.parse(outputs.result ?? "")[new URL(agent.url).host];
}

const answer = async (path: string) => (await fetch(`${url}${path}`)).text();

/** Visitors while something happens, and for a while before and after. */
async function underLoad(options: Partial<LoadOptions>, work: () => Promise<void>): Promise<LoadReport> {
  await using load = await startLoadProcess({ url, rate: 60, fresh: 1, slowMs: 1000, ...options });
  const wait = async (ms: number) => {
    const until = load.snapshot().elapsedMs + ms;
    while (load.snapshot().elapsedMs < until) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await wait(400);
  await work();
  await wait(400);
  return load.stop();
}

function expectNoFailure(report: LoadReport, versions: string[]): void {
  expect(report.failures.slice(0, 10), describeReport(report)).toEqual([]);
  expect(report.failed).toBe(0);
  expect(report.versions.map(({ version }) => version)).toEqual(versions);
}

test.each(stacks)(
  "%s changes from one version to the next, and no visitor on a new connection notices",
  async (stack) => {
    await addApp(apps[stack], await freePortRange(30));
    await deploy(stack, "v1");
    expect(await answer("/")).toMatch(/<p>v1 web-\d \d+ http/);
    expect(await answer("/static/site.css")).toContain("font-family");
    const report = await underLoad({}, async () => {
      const { cut } = await deploy(stack, "v2");
      expect(cut ?? 0).toBe(0);
    });
    expectNoFailure(report, ["v1", "v2"]);
    const { instances, live } = await agent.appView(apps[stack]);
    expect(instances.every(({ run, state }) => run === live && state === "RUNNING")).toBe(true);
  },
);

test("a host that allows no ports refuses them before anything is unpacked, and the live release goes on", async () => {
  await addApp("art");
  await deploy("django-gunicorn", "v1", { server: { bind: "socket" } });
  const before = await agent.appView("art");
  const directory = join(scratch.path, "checkout");
  await copyStack(directory, "django-gunicorn", { version: "v2" });
  const refused = deployProject(agent, directory);
  await expect(refused).rejects.toThrow(/403 .*ports_not_allowed.*etc\/apps\/art\.yml/);
  expect((await agent.appView("art")).releases).toEqual(before.releases);
  expect(await answer("/version")).toMatch(/^v1 /);
});

test("on ports a rollback, a redeploy and a canary cost no visitor anything, and ports are given back", async () => {
  await addApp("art", await freePortRange(30));
  const warm = { keep_warm: "60s" };
  await deploy("django-gunicorn", "v1", warm);
  const shares = async () => {
    const { instances, live, staged } = await agent.appView("art");
    const of = (run: string | null) => instances.filter((each) => each.run === run).map(({ slots }) => slots);
    return [of(live), of(staged)];
  };
  const report = await underLoad({}, async () => {
    await deploy("django-gunicorn", "v2", warm);
    expect((await agent.cutover("rollback", "art")).code).toBe(0);
    expect(await answer("/version")).toMatch(/^v1 /);
    expect((await agent.cutover("redeploy", "art")).code).toBe(0);
    const directory = join(scratch.path, "checkout");
    await copyStack(directory, "django-gunicorn", { version: "v3", config: { keep_warm: "0s" } });
    const { release = "" } = await deployProject(agent, directory, { activate: false });
    const activate = (weight: number) =>
      finished(agent, pathOf(calls.activate, { app: "art", release }), Readable.from([JSON.stringify({ weight })]));
    expect(await activate(50)).toMatchObject({ outcome: "succeeded" });
    expect(await shares()).toEqual([
      [15, 15],
      [15, 15],
    ]);
    expect(await activate(100)).toMatchObject({ outcome: "succeeded" });
  });
  expectNoFailure(report, ["v1", "v2", "v3"]);
  expect(await shares()).toEqual([[30, 30], []]);
  const kept = await readdir(join(agent.directory, "data/apps/art/ports"));
  expect(kept).toEqual([`${(await agent.appView("art")).live}.json`]);
});

test.each([
  ["started", "v1"],
  ["cut_over", "v2"],
] as const)("an agent that is killed at %s goes on with %s, and no port is lost", async (state, version) => {
  await addApp("art", await freePortRange(6));
  await deploy("django-gunicorn", "v1");
  const home = join(agent.directory, "data/apps/art");
  const report = await underLoad({}, async () => {
    const directory = join(scratch.path, "checkout");
    await copyStack(directory, "django-gunicorn", { version: "v2", config: { keep_warm: "0s" } });
    const deploying = deployProject(agent, directory).catch(() => undefined);
    const reached = async () => JSON.parse(await readFile(join(home, "state.json"), "utf8")).journal?.deployment.state;
    while ((await reached()) !== state) await new Promise((resolve) => setTimeout(resolve, 2));
    agent.scratch.remember();
    await agent.kill();
    await deploying;
    await agent.start();
    expect(await answer("/version")).toContain(`${version} `);
  });
  expectNoFailure(report, version === "v1" ? ["v1"] : ["v1", "v2"]);
  expect(await readdir(join(home, "ports"))).toEqual([`${(await agent.appView("art")).live}.json`]);
  await deploy("django-gunicorn", "v3");
  expect(await answer("/version")).toContain("v3 ");
});

test("any command changes from one version to the next, too", async () => {
  await addApp("art");
  const command =
    "python -m gunicorn --bind unix:{socket} --umask 0 --workers {workers} --threads 8 artproject.wsgi:application";
  const server = { kind: "command", command, app: undefined, threads: undefined, bind: "socket" } as const;
  await deploy("django-gunicorn", "v1", { server });
  expectNoFailure(await underLoad({}, async () => void (await deploy("django-gunicorn", "v2", { server }))), [
    "v1",
    "v2",
  ]);
});

test("a gray release of instances that speak uwsgi: the same visitor stays on the new version", async () => {
  await addApp("mysite");
  const config = { site: { balance: "ip_hash" } } as const;
  await deploy("django-uwsgi", "v1", config);
  const cwd = join(scratch.path, "checkout");
  await copyStack(cwd, "django-uwsgi", { version: "v2", config: { keep_warm: "0s", ...config } });
  const inputs = { hosts: agent.url, "signing-key": key.privatePem };
  const { outputs } = await runAction({ inputs: { ...inputs, command: "stage" }, cwd });
  const report = await underLoad({}, async () => {
    let before = new Map<number, string>();
    for (const weight of [25, 50, 100]) {
      const step = { command: "activate", release: outputs.release ?? "", weight: String(weight) };
      expect((await runAction({ inputs: { ...inputs, ...step }, cwd })).exitCode).toBe(0);
      const answers = await askAsClients(url, "localhost", 1000);
      expect(Math.abs(shareOf(answers, "v2") - weight)).toBeLessThanOrEqual(3);
      expect([...before].filter(([client, version]) => version === "v2" && answers.get(client) !== "v2")).toEqual([]);
      before = answers;
    }
  });
  expect(report.failures.slice(0, 10), describeReport(report)).toEqual([]);
});

test("from a socket to a port, and back", async () => {
  await addApp("art", await freePortRange(30));
  await deploy("django-gunicorn", "v1", { server: { bind: "socket" } });
  const report = await underLoad({}, async () => {
    await deploy("django-gunicorn", "v2", { server: { bind: "port" } });
    await deploy("django-gunicorn", "v3", { server: { bind: "socket" } });
  });
  expectNoFailure(report, ["v1", "v2", "v3"]);
});

test.each(["socket", "port"] as const)("from HTTP to the uwsgi protocol, and back, on a %s", async (bind) => {
  await addApp("mysite", await freePortRange(30));
  const uwsgi = { server: { bind } };
  const http = { server: { bind, protocol: "http" } } as const;
  await deploy("django-uwsgi", "v1", http);
  const report = await underLoad({}, async () => {
    await deploy("django-uwsgi", "v2", uwsgi);
    await deploy("django-uwsgi", "v3", http);
  });
  expectNoFailure(report, ["v1", "v2", "v3"]);
});

test("what clients that keep their connections lose when instances are on ports is measured", async () => {
  await addApp("art", await freePortRange(30));
  await deploy("django-gunicorn", "v1");
  const report = await underLoad({ fresh: 0, rate: 200 }, async () => {
    for (const version of ["v2", "v3"]) await deploy("django-gunicorn", version);
  });
  console.log(
    `Two deploys on ports, each a reload of nginx, with clients that keep their connections and repeat nothing: ${describeReport(report)}`,
  );
  // What a reload costs is the connection, never an answer: nobody gets an error page.
  expect(report.failures.filter(({ reason }) => reason.startsWith("status"))).toEqual([]);
});
