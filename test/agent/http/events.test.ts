import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startTestAgent, type TestAgent } from "./support.ts";

let agent: TestAgent;
let id: string;

beforeEach(async () => {
  agent = await startTestAgent({ http: { heartbeatMs: 30 } });
  id = agent.service.begin("shop", "deploy", "20261121T103000Z-3f2c1ab").deployment;
});
afterEach(() => agent.close());

const events = (query = "", headers: Record<string, string> = {}) =>
  fetch(`${agent.url}/v1/deployments/${id}/events${query}`, { headers });

function tell(...messages: string[]): void {
  for (const message of messages) agent.service.emit(id, { type: "notice", message });
}

test("events come as lines of JSON, and the stream ends after the end", async () => {
  tell("one");
  const response = await events();
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  tell("two");
  agent.service.finish(id, "succeeded");
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { id: 1, type: "notice", message: "one" },
    { id: 2, type: "notice", message: "two" },
    { id: 3, type: "end", deployment: { outcome: "succeeded" } },
  ]);
});

test("C20: a browser that connects again to an address with `after` goes on after what it has got since", async () => {
  tell("one", "two", "three");
  agent.service.finish(id, "failed");
  const headers = { accept: "text/event-stream", "last-event-id": "2" };
  const text = await (await events("?after=1", headers)).text();
  expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, seen]) => Number(seen))).toEqual([3, 4]);
});

test("a follower resumes after the last event that it has", async () => {
  tell("one", "two", "three");
  agent.service.finish(id, "failed");
  const byQuery = await (await events("?after=2")).text();
  const byHeader = await (await events("", { "last-event-id": "2" })).text();
  expect(byQuery).toBe(byHeader);
  expect(byQuery.split("\n")[0]).toContain('"message":"three"');
  expect(await (await events("?after=4")).text()).toBe("");
});

test("a browser gets server-sent events", async () => {
  tell("one");
  agent.service.finish(id, "succeeded");
  const response = await events("", { accept: "text/event-stream" });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(await response.text()).toMatch(
    /^id: 1\nevent: notice\ndata: \{.*"message":"one".*\}\n\nid: 2\nevent: end\ndata: .*\n\n$/,
  );
});

test("while nothing happens, an empty line or a comment keeps the connection open", async () => {
  for (const [accept, heartbeat] of [
    ["*/*", "\n"],
    ["text/event-stream", ":\n\n"],
  ] as const) {
    const reader = (await events("", { accept })).body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    expect(Buffer.from(value ?? []).toString()).toBe(heartbeat);
    await reader?.cancel();
  }
});

test("a follower that goes away is no longer waited on", async () => {
  const stopped = Promise.withResolvers<void>();
  const original = agent.service.events.bind(agent.service);
  agent.service.events = (deployment, after, signal) => {
    signal.addEventListener("abort", () => stopped.resolve());
    return original(deployment, after, signal);
  };
  const reader = (await events()).body?.getReader();
  await reader?.cancel();
  await stopped.promise;
});

test("events that break off break the connection off, so that nobody takes it for the end", async () => {
  agent.service.events = async function* () {
    yield { id: 1, at: "2026-11-21T10:40:00.000Z", type: "notice", message: "one" } as const;
    throw new Error("disk gone");
  };
  await expect(events().then((response) => response.text())).rejects.toThrow();
  await vi.waitUntil(() => agent.log().includes("disk gone"));
});

test("an unknown deployment has no events", async () => {
  const response = await fetch(`${agent.url}/v1/deployments/AAAAAAAAAAAAAAAAAAAAAA/events`);
  expect(response.status).toBe(404);
});
