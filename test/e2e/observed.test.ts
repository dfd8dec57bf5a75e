import { createHmac } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import type { AuditEntry } from "../../shared/protocol.ts";
import { readMetrics } from "../agent/observe/format.ts";
import { readOpenMetrics } from "../harness/openmetrics.ts";
import { freePorts } from "../harness/ports.ts";
import { runProgram } from "../harness/run.ts";
import { BadHost, pidIn } from "./bad-host.ts";

let host: BadHost;
let metricsPort = 0;
const got: { body: string; signature: string; timestamp: string }[] = [];
const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { "cutover-signature": signature, "cutover-timestamp": timestamp } = request.headers;
  got.push({ body, signature: String(signature), timestamp: String(timestamp) });
  response.writeHead(204).end();
});

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  [metricsPort = 0] = await freePorts(1);
  host = await BadHost.start({ name: "observed", settings: { metrics: `127.0.0.1:${metricsPort}` } });
  const secret_file = join(host.agent.scratch.path, "secret");
  writeFileSync(secret_file, "s3cret\n", { mode: 0o600 });
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/T0P5ECRET`;
  await host.agent.changeAppSettings("shop", { webhooks: [{ url, secret_file }] });
});
afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  receiver.closeAllConnections();
  receiver.close();
});

async function overSocket(socketPath: string, path: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get({ socketPath, path }, async (response) => resolve((await response.toArray()).join(""))).on("error", reject);
  return promise;
}

async function history(...args: string[]): Promise<AuditEntry[]> {
  return JSON.parse((await host.agent.cutover("history", "shop", "--json", ...args)).stdout);
}

test("metrics answer at the address that agent.yml gives them, and not with the other calls", async () => {
  const read = async () => readMetrics(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text());
  let samples = await read();
  // For supervisor an instance is up when it has been for a second.
  while (samples.get('cutover_instances_up{app="shop",role="live"}') !== 2) {
    await sleep(50);
    samples = await read();
  }
  expect(samples.get('cutover_deployments_total{app="shop",kind="deploy",result="staged"}')).toBe(1);
  expect(samples.get('cutover_deployments_total{app="shop",kind="activate",result="succeeded"}')).toBe(1);
  expect(samples.get('cutover_slots{app="shop",role="live"}')).toBe(60);
  expect(samples.get("cutover_disk_free_bytes")).toBeGreaterThan(0);
  expect((await fetch(`${host.agent.url}/metrics`)).status).toBe(404);
  const local = await overSocket(join(host.agent.directory, "agent.sock"), "/metrics");
  expect([...readMetrics(local).keys()]).toEqual([...samples.keys()]);
});

test("a deploy is in the history with who did it, and a webhook tells of it", async () => {
  const { exitCode, stdout } = await host.run(await host.project({ version: "v2" }));
  expect(exitCode, stdout).toBe(0);
  const ended = (await history("--since", "1h")).findLast(({ event }) => event === "ended");
  expect(ended).toMatchObject({
    what: "activate",
    app: "shop",
    outcome: "succeeded",
    by: { subject: expect.any(String) },
  });
  while (got.length === 0) await sleep(20);
  const [{ body, signature, timestamp } = { body: "", signature: "", timestamp: "" }] = got;
  expect(JSON.parse(body)).toMatchObject({ event: "succeeded", app: "shop", deployment: ended?.deployment });
  expect(signature).toBe(`v1=${createHmac("sha256", "s3cret").update(`${timestamp}.${body}`).digest("hex")}`);
  expect(host.agent.log).not.toContain("T0P5ECRET");
  const lines = host.agent.log.split("\n").filter((line) => line.includes(`"deployment":"${ended?.deployment}"`));
  expect(
    lines.filter((line) => /"msg":"(?:deployment begins|deployment ended|call)"/.test(line)).length,
  ).toBeGreaterThan(2);
});

test("what visitors see is told by release: at a deploy's end, in status, top and metrics, and over a kill", async () => {
  let visits = 0;
  let going = true;
  const visitor = (async () => {
    for (; going; visits++) await fetch(`${host.site}/version`).then((answer) => answer.text());
  })();
  await sleep(1500);
  const { exitCode, stdout } = await host.run(await host.project({ version: "v2b", config: { watch: "3s" } }));
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toMatch(/\d+ requests by the new release: 0\.0 % 5xx, p95 .* ms; before: 0\.0 %, .* ms/);
  const asked = { headers: { accept: "application/openmetrics-text" } };
  const open = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`, asked)).text();
  const shown = (await readOpenMetrics(open)).flatMap(({ exemplar }) => exemplar?.labels.release ?? []);
  expect(shown).toContain((await host.agent.appView()).live);
  await host.agent.kill();
  await host.agent.start();
  going = false;
  await visitor;
  await sleep(1500);
  const [{ requests }] = JSON.parse((await host.agent.cutover("top", "--seconds", "600", "--json")).stdout);
  expect(requests.gap).toBe(undefined);
  expect(requests.runs[0]).toMatchObject({ role: "live", failed: 0 });
  expect((await host.agent.cutover("status", "shop")).stdout).toMatch(/live .* 0\.0 % .* ms/);
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const counted = [...readMetrics(text)].filter(([name]) => name.startsWith('cutover_requests_total{app="shop"'));
  const all = counted.reduce((sum, [, count]) => sum + count, 0);
  // The agent's own visits are none, neither those of this deploy nor those of the ones before.
  expect(all).toBe(visits);
});

test("the history survives a kill: what was begun is there, a torn line is not, and the end comes after it", async () => {
  const release = { command: "sleep 60", timeout: "5m" };
  const running = host.begin(await host.project({ version: "v3", config: { release } }));
  let begun: AuditEntry | undefined;
  while (begun === undefined) {
    await sleep(50);
    const last = (await history()).at(-1);
    const { deployment } = await host.agent.appView();
    if (last?.event === "begun" && deployment?.state === "built") begun = last;
  }
  await host.agent.kill();
  const { data } = embeddedLayout(host.agent.directory);
  appendFileSync(join(data, "audit", "audit.ndjson"), '{"at":"2026-11-21T10:00:00.000Z","ev');
  await host.agent.start();
  await running.result;
  expect(host.agent.log).toMatch(
    new RegExp(`"deployment":"${begun.deployment}".*an interrupted deployment was recovered`),
  );
  expect((await history()).filter(({ deployment }) => deployment === begun.deployment)).toMatchObject([
    { event: "begun", what: "deploy" },
    { event: "ended", what: "deploy", outcome: "failed", code: "agent_stopping" },
  ]);
  const { stdout } = await host.agent.cutover("history", "shop");
  expect(stdout).toMatch(/failed \[agent_stopping\]/);
}, 60_000);

test("a refused call is in the history with its reason", async () => {
  const { status } = await fetch(`${host.agent.url}/v1/apps/shop/rollback`, {
    method: "POST",
    headers: { authorization: "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.AAAA" },
  });
  expect(status).toBe(401);
  while (!(await history()).some(({ event }) => event === "refused")) await sleep(50);
  const refused = (await history()).findLast(({ event }) => event === "refused");
  expect(refused).toMatchObject({ what: "rollback", code: "unauthorized", reason: expect.any(String) });
  expect(JSON.stringify(refused)).not.toContain("eyJ");
});

test("H2 H4 a database that is late for longer than supervisord's tries, and a stopped instance: all is named, and comes back", async () => {
  const { data, supervisor } = embeddedLayout(host.agent.directory);
  const { live } = await host.agent.appView();
  const database = join(host.agent.scratch.path, "database");
  // From now on the instances end at once unless the database is there.
  for (const name of ["web-0", "web-1"]) {
    const launch = join(data, "apps/shop/launch", live ?? "", `${name}.json`);
    const { argv, ...rest } = JSON.parse(readFileSync(launch, "utf8"));
    const late = ["/bin/sh", "-c", 'test -e "$0" && exec "$@"', database, ...argv];
    writeFileSync(launch, JSON.stringify({ ...rest, argv: late }));
  }
  const events = () => got.map(({ body }) => JSON.parse(body)).filter(({ event }) => event.startsWith("instances_"));
  const instancesOf = async () => {
    const { code, stdout } = await host.agent.cutover("doctor", "--json");
    const { findings } = JSON.parse(stdout) as { findings: { check: string; what: string }[] };
    return { code, what: findings.filter(({ check }) => check === "instances").map(({ what }) => what) };
  };
  const answer = () => fetch(host.site).then((response) => response.status);
  expect((await instancesOf()).what).toEqual([]);

  // As systemd does with a host's supervisord: it is killed and comes again.
  const pids = (await host.agent.appView()).instances.map(({ pid }) => pid ?? 0);
  expect(pids.every((pid) => pid > 1)).toBe(true);
  for (const pid of [await pidIn(supervisor.pidFile), ...pids]) process.kill(pid, "SIGKILL");
  await host.agent.kill();
  await host.agent.start();
  await expect.poll(() => events().length, { timeout: 30_000 }).toBe(1);
  const [told] = events();
  expect(told).toMatchObject({ event: "instances_down", app: "shop", run: live });
  expect(told.instances.map(({ name }: { name: string }) => name).toSorted()).toEqual(["web-0", "web-1"]);
  expect(host.agent.log).toContain("live instances do not run; they are started again for as long as it takes");
  expect(await answer()).toBe(502);
  // Each of them is STARTING for a moment again and again.
  const twoDown = { code: 1, what: [expect.stringContaining("2 of 2 do not run: web-0 is ")] };
  await expect.poll(instancesOf, { timeout: 30_000 }).toEqual(twoDown);
  const status = async () => (await host.agent.cutover("status", "shop")).stdout;
  await expect.poll(status, { timeout: 30_000 }).toMatch(/^ {2}down {6}web-0 \(/m);
  const down = async () => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    return readMetrics(text).get('cutover_instances_down{app="shop",role="live"}');
  };
  await expect.poll(down, { timeout: 30_000 }).toBe(2);
  // Longer than three tries of one, two and three seconds.
  await sleep(8000);
  writeFileSync(database, "");
  await expect.poll(answer, { timeout: 40_000 }).toBe(200);
  await expect.poll(() => events().length, { timeout: 40_000 }).toBe(2);
  expect(events()[1]).toMatchObject({ event: "instances_up", since: told.since });
  expect((await instancesOf()).what).toEqual([]);

  const group = `cutover-shop-${live}`;
  const { code } = await runProgram(["supervisorctl", "-c", supervisor.conf, "stop", `${group}:web-1`]);
  expect(code).toBe(0);
  expect(await instancesOf()).toEqual({
    code: 1,
    what: [expect.stringContaining("1 of 2 do not run: web-1 is STOPPED")],
  });
  const states = async () => (await host.agent.appView()).instances.map(({ state }) => state);
  await expect.poll(states, { timeout: 40_000 }).toEqual(["RUNNING", "RUNNING"]);
}, 180_000);
