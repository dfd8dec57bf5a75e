import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { addressKey } from "../../../agent/http/address-key.ts";
import { CallLimiter, TooManyCalls } from "../../../agent/http/call-limits.ts";
import { signToken } from "../../../shared/key.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestAgentOptions, type TestKey } from "./support.ts";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** Tests come from this host itself, which is not counted otherwise. */
const keyOf = (remote: string | undefined) => remote ?? "socket";

async function start(options: TestAgentOptions): Promise<{ agent: TestAgent; key: TestKey }> {
  const key = await newKey();
  const agent = await startTestAgent({ trust: [{ key: key.publicLine }], ...options });
  open.push(agent);
  return { agent, key };
}

async function status(agent: TestAgent, path: string, authorization?: string): Promise<Response> {
  return fetch(`${agent.url}${path}`, { headers: { ...(authorization && { authorization }), connection: "close" } });
}

describe("callers are counted", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["127.0.0.1", undefined],
    ["::ffff:127.0.0.1", undefined],
    ["::1", undefined],
    [undefined, undefined],
  ])("%s as %s", (remote, key) => {
    expect(addressKey(remote)).toBe(key);
  });
});

describe("calls of one address", () => {
  const limits = { calls_per_address: 5, refusals_per_address: 3 };

  test("beyond the limit get 429 with the time to wait, and others are served", async () => {
    let now = 0;
    let remote = "192.0.2.1";
    const limiter = new CallLimiter({ limits, now: () => now, keyOf: () => remote });
    const { agent } = await start({ http: { limiter } });
    const statuses = [];
    for (let count = 0; count < 12; count++) statuses.push((await status(agent, "/healthz")).status);
    expect(statuses).toEqual([...Array(10).fill(200), 429, 429]);
    const refused = await status(agent, "/healthz");
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({
      code: "too_many_calls",
      status: 429,
      fix: expect.stringContaining("1 second"),
    });
    remote = "192.0.2.2";
    expect((await status(agent, "/healthz")).status).toBe(200);
    remote = "192.0.2.1";
    now += 1000;
    expect((await status(agent, "/healthz")).status).toBe(200);
  });

  test("with refused tokens are no longer looked at, however many come at once", async () => {
    let now = 0;
    const limiter = new CallLimiter({ limits: { ...limits, calls_per_address: 1000 }, now: () => now, keyOf });
    const { agent, key } = await start({ http: { limiter } });
    const bad = () => status(agent, "/v1/apps/shop", "Bearer a.b.c");
    const statuses = (await Promise.all(Array.from({ length: 10 }, bad))).map((response) => response.status);
    expect(statuses.toSorted()).toEqual([...Array(3).fill(401), ...Array(7).fill(429)]);
    expect(agent.log().match(/token refused/g)).toHaveLength(3);
    const aud = `cutover/v1/${hostName}/shop/read`;
    const good = async () => `Bearer ${await signToken(key.signer, aud, { sub: "ci" })}`;
    const blocked = await status(agent, "/v1/apps/shop", await good());
    expect([blocked.status, Number(blocked.headers.get("retry-after"))]).toEqual([429, 20]);
    now += 20_000;
    expect((await status(agent, "/v1/apps/shop", await good())).status).toBe(200);
  });

  test("with good tokens do not count as refused", async () => {
    const limiter = new CallLimiter({ limits: { ...limits, calls_per_address: 1000 }, now: () => 0, keyOf });
    const { agent, key } = await start({ http: { limiter } });
    for (let count = 0; count < 10; count++) {
      const token = await signToken(key.signer, `cutover/v1/${hostName}/shop/read`, { sub: "ci" });
      expect((await status(agent, "/v1/apps/shop", `Bearer ${token}`)).status).toBe(200);
    }
  });

  test("that may not do what they ask for are no guesses", async () => {
    const limiter = new CallLimiter({ limits: { ...limits, calls_per_address: 1000 }, now: () => 0, keyOf });
    const key = await newKey();
    const { agent } = await start({ http: { limiter }, trust: [{ key: key.publicLine, allow: ["deploy"] }] });
    for (let count = 0; count < 10; count++) {
      const token = await signToken(key.signer, `cutover/v1/${hostName}/shop/read`, { sub: "ci" });
      expect((await status(agent, "/v1/apps/shop", `Bearer ${token}`)).status).toBe(403);
    }
  });

  test("of this host itself are not counted: a proxy on it passes all others on", async () => {
    const limiter = new CallLimiter({ limits: { calls_per_address: 1, refusals_per_address: 1 } });
    const { agent } = await start({ http: { limiter } });
    for (let count = 0; count < 10; count++) expect((await status(agent, "/v1/apps/shop")).status).toBe(401);
  });

  test("are remembered for so many addresses, and the one that was silent for longest is forgotten", () => {
    const limiter = new CallLimiter({ limits, now: () => 0, addresses: 100, keyOf });
    const exhaust = (address: string) => {
      for (let count = 0; count < 10; count++) limiter.admit(address);
      expect(() => limiter.admit(address)).toThrow(TooManyCalls);
    };
    exhaust("first");
    for (let index = 0; index < 99; index++) limiter.admit(`other-${index}`);
    expect(() => limiter.admit("first")).toThrow(TooManyCalls);
    for (let index = 0; index < 100; index++) limiter.admit(`more-${index}`);
    exhaust("first");
  });
});

describe("connections", () => {
  async function connected(agent: TestAgent): Promise<boolean> {
    const socket = connect(agent.server.port, "127.0.0.1");
    socket.on("error", () => undefined);
    open.push({ close: () => socket.destroy() });
    await once(socket, "connect");
    const closed = await Promise.race([once(socket.resume(), "close").then(() => true), sleep(100, false)]);
    return !closed;
  }

  test("beyond the limit of one address are closed before a byte is read, and the log says so once", async () => {
    const told: object[] = [];
    const connections = {
      connections: 100,
      connections_per_address: 3,
      keyOf,
      onFull: (about: object) => void told.push(about),
    };
    const { agent } = await start({ connections });
    const all = await Promise.all(Array.from({ length: 6 }, () => connected(agent)));
    expect(all.filter(Boolean)).toHaveLength(3);
    expect(told).toHaveLength(1);
  });

  test("beyond the limit in all are closed, whoever they are from", async () => {
    let count = 0;
    const everyone = () => `address-${count++}`;
    const { agent } = await start({ connections: { connections: 4, connections_per_address: 3, keyOf: everyone } });
    const all = await Promise.all(Array.from({ length: 6 }, () => connected(agent)));
    expect(all.filter(Boolean)).toHaveLength(4);
  });

  test("that are closed make room", async () => {
    const { agent } = await start({ connections: { connections: 1, connections_per_address: 1, keyOf } });
    for (let count = 0; count < 3; count++) {
      const socket = connect(agent.server.port, "127.0.0.1");
      await once(socket, "connect");
      socket.end("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      const [first] = await once(socket, "data");
      expect(String(first)).toMatch(/^HTTP\/1.1 200 /);
      await once(socket.resume(), "close");
      await sleep(20);
    }
  });

  test("of this host itself count only in all", async () => {
    const { agent } = await start({ connections: { connections: 100, connections_per_address: 1 } });
    const all = await Promise.all(Array.from({ length: 3 }, () => connected(agent)));
    expect(all).toEqual([true, true, true]);
  });

  test("that say nothing are closed when the time for headers is over", async () => {
    const { agent } = await start({ times: { headersMs: 100 } });
    const socket = connect(agent.server.port, "127.0.0.1");
    open.push({ close: () => socket.destroy() });
    await once(socket.resume(), "close");
  });
});
