import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { Metrics } from "../../../agent/observe/metrics.ts";
import { ObservedEvents } from "../../../agent/observe/observed-events.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Accepted } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { runCounts } from "../../fakes/request-counts.ts";
import { FakeService } from "../../fakes/service.ts";
import { makeCertificate } from "../../harness/certificate.ts";
import { scratch } from "../host/scratch.ts";
import { readMetrics } from "./format.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };

function watchedAgent(host: FakeHost) {
  const events = new ObservedEvents(host.ports.events);
  const onCut = (app: string, requests: number) => metrics.cut(app, requests);
  const service = new Deployments({ ports: { ...host.ports, events }, log: pino({ level: "silent" }), onCut });
  const metrics = new Metrics({ service, version: "1.2.3", freeBytes: async () => 5000 });
  events.listen((app, event) => metrics.event(app, event));
  const run = async (begun: Promise<Accepted>) => {
    const { deployment } = await begun;
    return service.settled(deployment, 10_000, new AbortController().signal);
  };
  return { service, metrics, run, read: async () => readMetrics(await metrics.render()) };
}

test("deployments by kind and result, how long their phases took, and how the app stands", async () => {
  const host = new FakeHost();
  const { service, metrics, run, read } = watchedAgent(host);
  const settings = { keep_warm: "1h" };
  await run(service.deploy("shop", host.request(v1, settings)));
  await run(service.deploy("shop", host.request(v2, settings)));
  host.answers.set(v3, { kind: "status", status: 500, body: "", location: undefined });
  await run(service.deploy("shop", host.request(v3, settings)));
  await run(service.rollback("shop", call));
  metrics.refused("expired");
  const samples = await read();
  expect(samples.get('cutover_deployments_total{app="shop",kind="deploy",result="succeeded"}')).toBe(2);
  expect(samples.get('cutover_deployments_total{app="shop",kind="deploy",result="failed"}')).toBe(1);
  expect(samples.get('cutover_deployments_total{app="shop",kind="rollback",result="succeeded"}')).toBe(1);
  expect(samples.get('cutover_deployment_failures_total{app="shop",code="health_failed"}')).toBe(1);
  expect(samples.get('cutover_deployment_phase_seconds_count{app="shop",phase="healthy"}')).toBe(3);
  expect(samples.get('cutover_deployment_phase_seconds_bucket{app="shop",phase="built",le="+Inf"}')).toBe(3);
  expect(samples.get('cutover_refused_calls_total{reason="expired"}')).toBe(1);
  expect(
    samples.get(`cutover_release_info{app="shop",role="live",release="${v1}",commit="",repository="acme/shop"}`),
  ).toBe(1);
  expect(samples.get('cutover_instances_wanted{app="shop",role="live"}')).toBe(2);
  expect(samples.get('cutover_instances_up{app="shop",role="live"}')).toBe(2);
  expect(samples.get('cutover_slots{app="shop",role="live"}')).toBe(60);
  expect(samples.get('cutover_slots{app="shop",role="warm"}')).toBe(0);
  expect(samples.get('cutover_app_held{app="shop"}')).toBe(0);
  expect(samples.get('cutover_canary_weight_percent{app="shop"}')).toBe(0);
  expect(samples.get('cutover_last_deployment_succeeded{app="shop"}')).toBe(1);
  expect(samples.get('cutover_last_deployment_timestamp_seconds{app="shop"}')).toBeGreaterThan(1.7e9);
  expect(samples.get("cutover_disk_free_bytes")).toBe(5000);
  expect(samples.get('cutover_agent_info{version="1.2.3"}')).toBe(1);
  await service.close();
});

test("only the info metric names releases", async () => {
  const host = new FakeHost();
  const { service, metrics, run } = watchedAgent(host);
  await run(service.deploy("shop", host.request(v1)));
  await run(service.deploy("shop", host.request(v2, {}, { activate: false })));
  const named = (await metrics.render()).split("\n").filter((line) => /2026\d{4}T/.test(line));
  expect(named).toHaveLength(2);
  for (const line of named) expect(line).toMatch(/^cutover_release_info\{/);
  await service.close();
});

test("drained requests and cut requests are counted separately", async () => {
  const host = new FakeHost();
  const { service, run, read } = watchedAgent(host);
  const settings = { keep_warm: "0s", drain: { timeout: "1s" } };
  await run(service.deploy("shop", host.request(v1, settings)));
  host.connections.set(`unix:${v1}/web-0.sock`, 5);
  const { connections } = host.ports;
  let asked = 0;
  connections.count = async (addresses) => {
    // Three of five requests end while the old instances drain.
    if (++asked === 3) host.connections.set(`unix:${v1}/web-0.sock`, 2);
    return new Map(addresses.map((address) => [address, host.connections.get(address) ?? 0]));
  };
  const ports = { ...host.ports, connections };
  const events = new ObservedEvents(ports.events);
  const agent = new Deployments({ ports: { ...ports, events }, log: pino({ level: "silent" }) });
  const metrics = new Metrics({ service: agent, version: "1.2.3", freeBytes: async () => 1 });
  events.listen((app, event) => metrics.event(app, event));
  const { deployment } = await agent.deploy("shop", host.request(v2, settings));
  const view = await agent.settled(deployment, 10_000, new AbortController().signal);
  expect(view).toMatchObject({ outcome: "succeeded", drained: 3, cut: 2 });
  const samples = readMetrics(await metrics.render());
  expect(samples.get('cutover_requests_drained_total{app="shop"}')).toBe(3);
  expect(samples.get('cutover_requests_cut_total{app="shop"}')).toBe(2);
  expect((await read()).get('cutover_requests_cut_total{app="shop"}')).toBe(0);
  await agent.close();
  await service.close();
});

test("an app that cannot be looked at hides no other, and one with a torn state file is held", async () => {
  const service = new FakeService();
  const metrics = new Metrics({ service, version: "1.2.3", freeBytes: async () => Promise.reject(new Error("gone")) });
  service.apps = async () => ["torn", "down", "blind", "shop"];
  const { app } = service;
  service.app = async (name) => {
    if (name === "torn") throw new CutoverError("state_unreadable", "The state file cannot be read.");
    if (name === "down") throw new CutoverError("app_not_found", "Its settings are gone.");
    const view = await app.call(service, "shop");
    return name === "blind" ? { ...view, app: name, problem: "supervisord is not running." } : view;
  };
  const samples = readMetrics(await metrics.render());
  expect(samples.get('cutover_app_readable{app="torn"}')).toBe(0);
  expect(samples.get('cutover_app_held{app="torn"}')).toBe(1);
  expect(samples.get('cutover_app_readable{app="down"}')).toBe(0);
  expect(samples.get('cutover_app_readable{app="blind"}')).toBe(0);
  expect(samples.get('cutover_app_held{app="blind"}')).toBe(0);
  expect(samples.has('cutover_instances_up{app="blind",role="live"}')).toBe(false);
  expect(samples.get('cutover_app_readable{app="shop"}')).toBe(1);
  expect(samples.get('cutover_instances_up{app="shop",role="live"}')).toBe(2);
  expect(samples.has("cutover_disk_free_bytes")).toBe(false);
});

test("a deployment that ends twice with the same result counts once", async () => {
  const service = new FakeService();
  const metrics = new Metrics({ service, version: "1.2.3", freeBytes: async () => 1 });
  const { deployment } = service.begin("shop", "deploy", v1);
  const view = { ...(await service.deployment(deployment)), outcome: "failed" as const, cut: 2 };
  for (let time = 0; time < 2; time++)
    metrics.event("shop", { type: "end", id: 1, at: view.started, deployment: view });
  const samples = readMetrics(await metrics.render());
  expect(samples.get('cutover_deployments_total{app="shop",kind="deploy",result="failed"}')).toBe(1);
  expect(samples.get('cutover_requests_cut_total{app="shop"}')).toBe(2);
});

test("when the agent's certificate expires, and whether a renewal is broken", async () => {
  const { metrics, read } = watchedAgent(new FakeHost());
  expect([...(await read()).keys()].filter((name) => name.startsWith("cutover_certificate"))).toEqual([]);
  const directory = scratch();
  const { certificate } = await makeCertificate(directory, "web");
  metrics.certificate(certificate);
  const expiry = (await read()).get("cutover_certificate_expiry_timestamp_seconds") ?? 0;
  expect(Math.round((expiry - Date.now() / 1000) / 3600)).toBe(48);
  expect((await read()).get("cutover_certificate_readable")).toBe(1);
  metrics.certificateBroken();
  expect((await read()).get("cutover_certificate_readable")).toBe(0);
  metrics.certificate(certificate);
  expect((await read()).get("cutover_certificate_readable")).toBe(1);
});

test("visitors' requests, by who had their slot at that time", async () => {
  const service = new FakeService();
  const requests = {
    totals: () => ({ live: runCounts(null, 10, { failed: 2, ms: 40 }), canary: runCounts(null, 1, { ms: 90_000 }) }),
    latest: () => ({}),
  };
  const metrics = new Metrics({ service, requests, version: "1.2.3", freeBytes: async () => 5000 });
  const samples = readMetrics(await metrics.render());
  const value = (name: string) => samples.get(name);
  expect(value('cutover_requests_total{app="shop",role="live",class="2xx"}')).toBe(8);
  expect(value('cutover_requests_total{app="shop",role="live",class="5xx"}')).toBe(2);
  expect(value('cutover_request_duration_seconds_bucket{app="shop",role="live",le="0.03"}')).toBe(0);
  expect(value('cutover_request_duration_seconds_bucket{app="shop",role="live",le="0.05"}')).toBe(10);
  expect(value('cutover_request_duration_seconds_sum{app="shop",role="live"}')).toBe(0.4);
  expect(value('cutover_request_duration_seconds_bucket{app="shop",role="canary",le="30"}')).toBe(0);
  expect(value('cutover_request_duration_seconds_bucket{app="shop",role="canary",le="+Inf"}')).toBe(1);
  expect(value('cutover_requests_total{app="shop",role="none",class="2xx"}')).toBe(undefined);
});
