import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { DeploymentView } from "../../shared/protocol.ts";
import { copyStack, type Stack, type StackOptions, stacks } from "../fixtures/stacks.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { deployProject } from "../harness/deploy.ts";
import { freePortRange, freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";
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
  return () => made[Symbol.asyncDispose]();
});

async function addApp(app: string): Promise<void> {
  const [port = 0] = await freePorts(1);
  await agent.addApp({ app, key, ports: [port], portRange: await freePortRange(30) });
  url = `http://127.0.0.1:${port}`;
}

/** Old instances go as soon as they are drained: a request too early or too late would fail. */
async function deploy(stack: Stack, version: string, config: StackOptions["config"] = {}): Promise<DeploymentView> {
  const directory = join(scratch.path, "checkout");
  await copyStack(directory, stack, { version, config: { keep_warm: "0s", ...config } });
  const view = await deployProject(agent, directory);
  expect(view, JSON.stringify(view.failure, undefined, 2)).toMatchObject({ outcome: "succeeded" });
  return view;
}

const answer = async (path: string) => (await fetch(`${url}${path}`)).text();

/** Visitors while something happens, and a second before and after. */
async function underLoad(options: Partial<LoadOptions>, work: () => Promise<void>): Promise<LoadReport> {
  await using load = await startLoadProcess({ url, rate: 60, fresh: 1, slowMs: 1000, ...options });
  const wait = async (ms: number) => {
    const until = load.snapshot().elapsedMs + ms;
    while (load.snapshot().elapsedMs < until) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await wait(1000);
  await work();
  await wait(1000);
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
    await addApp(apps[stack]);
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
    expect((await agent.cutover("app", "remove", apps[stack], "--yes")).code).toBe(0);
  },
);

test("a host that allows no ports refuses them before anything is unpacked, and the live release goes on", async () => {
  const [port = 0] = await freePorts(1);
  await agent.addApp({ app: "art", key, ports: [port] });
  url = `http://127.0.0.1:${port}`;
  await deploy("django-gunicorn", "v1", { server: { bind: "socket" } });
  const before = await agent.appView("art");
  const directory = join(scratch.path, "checkout");
  await copyStack(directory, "django-gunicorn", { version: "v2" });
  const { outcome, failure, release } = await deployProject(agent, directory);
  expect({ outcome, release }).toEqual({ outcome: "failed", release: undefined });
  expect(failure).toMatchObject({ code: "ports_not_allowed", fix: expect.stringContaining("etc/apps/art.yml") });
  expect((await agent.appView("art")).releases).toEqual(before.releases);
  expect(await answer("/version")).toMatch(/^v1 /);
  expect((await agent.cutover("app", "remove", "art", "--yes")).code).toBe(0);
});

test("from a socket to a port, and back", async () => {
  await addApp("art");
  await deploy("django-gunicorn", "v1", { server: { bind: "socket" } });
  const report = await underLoad({}, async () => {
    await deploy("django-gunicorn", "v2", { server: { bind: "port" } });
    await deploy("django-gunicorn", "v3", { server: { bind: "socket" } });
  });
  expectNoFailure(report, ["v1", "v2", "v3"]);
  expect((await agent.cutover("app", "remove", "art", "--yes")).code).toBe(0);
});

test.each(["socket", "port"] as const)("from HTTP to the uwsgi protocol, and back, on a %s", async (bind) => {
  await addApp("mysite");
  const uwsgi = { server: { bind } };
  const http = { server: { bind, protocol: "http" } } as const;
  await deploy("django-uwsgi", "v1", http);
  const report = await underLoad({}, async () => {
    await deploy("django-uwsgi", "v2", uwsgi);
    await deploy("django-uwsgi", "v3", http);
  });
  expectNoFailure(report, ["v1", "v2", "v3"]);
  expect((await agent.cutover("app", "remove", "mysite", "--yes")).code).toBe(0);
});

test("what clients that keep their connections lose when instances are on ports is measured", async () => {
  await addApp("art");
  await deploy("django-gunicorn", "v1");
  const report = await underLoad({ fresh: 0, rate: 200 }, async () => {
    for (const version of ["v2", "v3"]) await deploy("django-gunicorn", version);
  });
  console.log(
    `Two deploys on ports, each a reload of nginx, with clients that keep their connections and repeat nothing: ${describeReport(report)}`,
  );
  // What a reload costs is the connection, never an answer: nobody gets an error page.
  expect(report.failures.filter(({ reason }) => reason.startsWith("status"))).toEqual([]);
  expect((await agent.cutover("app", "remove", "art", "--yes")).code).toBe(0);
});
