import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { createHttpApp, type HttpAppOptions } from "../../../agent/http/app.ts";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import { createMetricsApp } from "../../../agent/http/metrics.ts";
import { startServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import { endOf } from "../../../agent/observe/audited.ts";
import { ObservedEvents } from "../../../agent/observe/observed-events.ts";
import { signToken } from "../../../shared/key.ts";
import { AuditInMemory } from "../../fakes/audit.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { FakeService } from "../../fakes/service.ts";
import { hostName, newKey, startTestAgent } from "./support.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const metrics = async () => "up 1\n";

/** The agent's real deploy code and HTTP side, over a host in memory. */
async function observedAgent(options: Partial<HttpAppOptions> = {}) {
  const host = new FakeHost();
  const lines: string[] = [];
  const logger = createLogger("debug", { write: (line: string) => void lines.push(line) });
  const events = new ObservedEvents(host.ports.events);
  const service = new Deployments({ ports: { ...host.ports, events }, log: logger });
  const audit = new AuditInMemory();
  events.listen((_app, event) => {
    const entry = endOf(event);
    if (entry !== undefined) void audit.record(entry);
  });
  const app = createHttpApp({ service, logger, version: "1.2.3", authorize: localOperator(), audit, ...options });
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app });
  onTestFinished(async () => {
    await server.close();
    await service.close();
  });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    host,
    audit,
    url,
    /** Resolves when every deployment that was begun has ended. */
    async settled(): Promise<void> {
      const { entries } = audit;
      const ids = (event: string) => entries.filter((entry) => entry.event === event).map((entry) => entry.deployment);
      while (ids("begun").some((id) => !ids("ended").includes(id))) await sleep(5);
    },
    log: () => lines.map((line) => JSON.parse(line)),
    async deploy(release: string): Promise<{ status: number; deployment: string }> {
      const chunks: Buffer[] = [];
      for await (const chunk of host.request(release, { keep_warm: "1h" }).body()) chunks.push(Buffer.from(chunk));
      const answer = await fetch(`${url}/v1/apps/shop/releases`, { method: "POST", body: Buffer.concat(chunks) });
      const { deployment = "" } = (await answer.json()) as { deployment?: string };
      if (deployment !== "") await fetch(`${url}/v1/deployments/${deployment}?wait=10`);
      return { status: answer.status, deployment };
    },
  };
}

test("one id goes through the log: all lines of a deployment have it, and the call that began it names it", async () => {
  const agent = await observedAgent();
  const { deployment } = await agent.deploy(v1);
  const lines = agent.log().filter((line) => line.deployment === deployment);
  const begins = lines.find(({ msg }) => msg === "deployment begins");
  const call = lines.find(({ msg, method }) => msg === "call" && method === "POST");
  expect(begins.reference).toMatch(/^[0-9a-f]{8}$/);
  expect(call).toMatchObject({ status: 202, reference: begins.reference });
  expect(lines.find(({ msg }) => msg === "deployment ended")).toMatchObject({ reference: begins.reference });
  // No line of the deployment without its id: whatever else names its reference does so too.
  expect(agent.log().filter(({ reference }) => reference === begins.reference)).toEqual(
    lines.filter(({ reference }) => reference === begins.reference),
  );
});

test("a call whose deployment fails at once names it too", async () => {
  const agent = await observedAgent();
  await agent.deploy(v1);
  const before = agent.audit.entries.length;
  expect((await agent.deploy(v1)).status).toBe(409);
  const call = agent.log().findLast(({ msg, method }) => msg === "call" && method === "POST");
  expect(call).toMatchObject({ status: 409, deployment: expect.any(String) });
  const { deployment } = call;
  expect(agent.log().find((line) => line.msg === "deployment ended" && line.deployment === deployment)).toBeDefined();
  // In the audit log it is one deployment that failed, and not also a refused call.
  expect(agent.audit.entries.slice(before)).toMatchObject([
    { event: "begun", deployment },
    { event: "ended", deployment, outcome: "failed", code: "release_exists" },
  ]);
});

test("the audit log says who did what, with which result", async () => {
  const agent = await observedAgent({ admin: true });
  const first = await agent.deploy(v1);
  const second = await agent.deploy(v2);
  await fetch(`${agent.url}/v1/apps/shop/rollback`, { method: "POST" });
  await agent.settled();
  await fetch(`${agent.url}/v1/apps/shop/rollback`, { method: "POST" });
  await fetch(`${agent.url}/v1/apps/shop/maintenance`, { method: "PUT" });
  await fetch(`${agent.url}/v1/apps/shop/maintenance`, { method: "DELETE" });
  await fetch(`${agent.url}/v1/deployments/${first.deployment}/abort`, { method: "POST" });
  await fetch(`${agent.url}/v1/apps/shop`);
  const by = { subject: "local operator" };
  const of = { app: "shop", by, reference: expect.any(String) };
  const ends = { app: "shop", by, event: "ended", took: expect.any(Number) };
  expect(agent.audit.entries.map(({ at: _, ...entry }) => entry)).toEqual([
    { ...of, event: "begun", what: "deploy", deployment: first.deployment },
    { ...ends, what: "deploy", deployment: first.deployment, release: v1, outcome: "succeeded" },
    { ...of, event: "begun", what: "deploy", deployment: second.deployment },
    { ...ends, what: "deploy", deployment: second.deployment, release: v2, outcome: "succeeded" },
    { ...of, event: "begun", what: "rollback", deployment: expect.any(String) },
    { ...ends, what: "rollback", deployment: expect.any(String), release: v1, outcome: "succeeded" },
    { ...of, event: "begun", what: "rollback", deployment: expect.any(String) },
    { ...ends, what: "rollback", deployment: expect.any(String), outcome: "failed", code: "nothing_to_roll_back_to" },
    { ...of, event: "done", what: "maintenance_on" },
    { ...of, event: "done", what: "maintenance_off" },
    { ...of, event: "refused", what: "abort", deployment: first.deployment, code: "already_cut_over" },
  ]);
});

test("a deployment is in the audit log before it has an effect", async () => {
  const agent = await observedAgent();
  let known: string[] = [];
  agent.host.onEffect = (effect) => {
    if (effect.startsWith("release.unpack")) known = agent.audit.entries.map(({ event }) => event);
  };
  await agent.deploy(v1);
  expect(known).toEqual(["begun"]);
});

test("refused calls are in the audit log with the reason, and without the token", async () => {
  const audit = new AuditInMemory();
  const key = await newKey();
  const stranger = await newKey();
  const agent = await startTestAgent({
    http: { audit },
    trust: [{ key: key.publicLine, allow: ["read"] }],
  });
  onTestFinished(() => agent.close());
  const audience = `cutover/v1/${hostName}/shop/rollback`;
  const tokens = [
    await signToken(stranger.signer, audience, { sub: "mallory" }),
    await signToken(key.signer, audience, { sub: "ci" }),
  ];
  for (const token of [undefined, ...tokens]) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    await fetch(`${agent.url}/v1/apps/shop/rollback`, { method: "POST", headers });
  }
  const refused = {
    event: "refused",
    what: "rollback",
    app: "shop",
    at: expect.any(String),
    reference: expect.any(String),
  };
  expect(audit.entries).toEqual([
    { ...refused, code: "unauthorized", reason: "token_missing" },
    { ...refused, code: "unauthorized", reason: "key_unknown" },
    { ...refused, code: "forbidden", reason: "grant_missing" },
  ]);
  for (const token of tokens) {
    for (const part of token.split(".")) expect(JSON.stringify(audit.entries)).not.toContain(part);
  }
});

test("a first deploy that asks for the live release is no refusal in the audit log; a token that may not ask is", async () => {
  const agent = await observedAgent();
  expect((await fetch(`${agent.url}/v1/apps/shop/releases/live/files`)).status).toBe(409);
  expect(agent.audit.entries).toEqual([]);
  const audit = new AuditInMemory();
  const key = await newKey();
  const strict = await startTestAgent({ http: { audit }, trust: [{ key: key.publicLine, allow: ["deploy"] }] });
  onTestFinished(() => strict.close());
  const token = await signToken(key.signer, `cutover/v1/${hostName}/shop/read`, { sub: "ci" });
  await fetch(`${strict.url}/v1/apps/shop`, { headers: { authorization: `Bearer ${token}` } });
  expect(audit.entries).toMatchObject([{ event: "refused", what: "read", reason: "grant_missing" }]);
});

test("who was let in and is refused for another reason is named", async () => {
  const agent = await observedAgent({ admin: true });
  agent.host.failing.set("app.remove", new Error("the disk is gone"));
  await fetch(`${agent.url}/v1/apps/shop`, { method: "DELETE" });
  expect(agent.audit.entries).toMatchObject([
    { event: "refused", what: "remove_app", by: { subject: "local operator" }, code: "internal" },
  ]);
});

test("metrics are served only at their own places", async () => {
  const closed = await observedAgent();
  expect((await fetch(`${closed.url}/metrics`)).status).toBe(404);
  const open = await observedAgent({ metrics });
  const answer = await fetch(`${open.url}/metrics`);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await answer.text()).toBe("up 1\n");
});

test("an address of the metrics' own has nothing else", async () => {
  const app = createMetricsApp({ logger: createLogger("silent"), metrics });
  expect(await (await app.request("/metrics")).text()).toBe("up 1\n");
  for (const path of ["/healthz", "/v1/apps", "/v1/apps/shop"]) expect((await app.request(path)).status).toBe(404);
});

test("only the admin socket serves the history", async () => {
  const open = await observedAgent({ admin: true });
  await open.deploy(v1);
  const since = "2026-11-21T10:00:00.000Z";
  const answer = await fetch(`${open.url}/v1/history?app=shop&since=${since}&limit=7`);
  expect(await answer.json()).toMatchObject({ entries: [{ event: "begun" }, { event: "ended" }] });
  expect(open.audit.queries).toEqual([{ app: "shop", since: Date.parse(since), limit: 7 }]);
  for (const query of ["limit=0", "since=yesterday", "app=..", "who=me"]) {
    expect((await fetch(`${open.url}/v1/history?${query}`)).status, query).toBe(400);
  }
  const closed = await observedAgent();
  expect((await fetch(`${closed.url}/v1/history`)).status).toBe(404);
});

test("every call that changes something is in the audit log, done or refused", async () => {
  const agent = await observedAgent({ admin: true });
  const { deployment } = await agent.deploy(v1);
  const { routes } = createHttpApp({
    service: new FakeService(),
    logger: createLogger("silent"),
    version: "1.2.3",
    authorize: localOperator(),
    admin: true,
  });
  const changing = routes.filter(({ method }) => ["POST", "PUT", "DELETE"].includes(method));
  expect(changing.length).toBeGreaterThan(7);
  for (const { method, path } of changing) {
    const before = agent.audit.entries.length;
    const at = path.replace(":app", "shop").replace(":release", v1).replace(":id", deployment);
    await fetch(`${agent.url}${at}`, { method });
    expect(agent.audit.entries.length, `${method} ${path}`).toBeGreaterThan(before);
    // The next one needs the app's lock.
    await agent.settled();
  }
});
