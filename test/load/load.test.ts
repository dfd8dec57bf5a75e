import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Load, startLoad } from "./load.ts";
import { kindAt, kinds } from "./options.ts";
import { startLoadProcess } from "./process.ts";
import { percentile, splitLatency, summarize } from "./report.ts";

const servers: Server[] = [];
const loads: Load[] = [];

afterEach(async () => {
  for (const load of loads.splice(0)) await load.stop().catch(() => undefined);
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** Answers as the sample shop does. */
function shop(version: () => string): RequestListener {
  return async (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.pathname === "/upload") {
      response.end(await receipt(request));
    } else {
      setTimeout(
        () => response.end(`${version()} 7 20261121T103000Z-3f2c1ab\n`),
        Number(url.searchParams.get("ms") ?? 0),
      );
    }
  };
}

async function receipt(request: IncomingMessage): Promise<string> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk);
    length += chunk.length;
  }
  return `${length} ${hash.digest("hex")}\n`;
}

function keep(load: Load): Load {
  loads.push(load);
  return load;
}

const all = { get: 0.4, post: 0.3, slow: 0.1, upload: 0.1, page: 0.1 };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the load", () => {
  it("sends every kind at the rate asked for, over fresh and kept connections, and sees the version change", async () => {
    let version = "v1";
    const connections = new Set<unknown>();
    const { url, server } = await serve(shop(() => version));
    server.on("connection", (socket) => connections.add(socket));
    const load = keep(startLoad({ url, rate: 200, shares: all, slowMs: 200 }));
    await pause(500);
    version = "v2";
    await pause(500);
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.sent).toBe(report.ok);
    expect(report.sent).toBeGreaterThan(150);
    expect(report.sent).toBeLessThan(250);
    for (const kind of kinds) expect(report.kinds[kind].ok, kind).toBeGreaterThan(0);
    expect(report.kinds.slow.latency.p50).toBeGreaterThanOrEqual(200);
    expect(report.kinds.upload.latency.p50).toBeGreaterThanOrEqual(180);
    expect(connections.size).toBeGreaterThan(report.sent * 0.35);
    expect(connections.size).toBeLessThan(report.sent * 0.75);
    expect(report.versions.map((seen) => seen.version)).toEqual(["v1", "v2"]);
    const [first, second] = report.versions;
    expect(second?.first).toBeGreaterThanOrEqual(first?.last ?? 0);
    expect(await load.stop()).toBe(report);
  });

  it("counts each failure once, with its kind, time and reason, and repeats no request", async () => {
    const seen = { requests: 0 };
    const { url } = await serve((request, response) => {
      seen.requests++;
      if (seen.requests % 3 === 0) response.writeHead(502).end("bad gateway");
      else if (seen.requests % 3 === 1) request.socket.destroy();
      else response.end("no version here\n");
    });
    const load = keep(startLoad({ url, rate: 100, shares: { get: 1 } }));
    await pause(400);
    const report = await load.stop();
    expect(report.ok).toBe(0);
    expect(report.sent).toBe(report.failed);
    expect(report.sent).toBe(seen.requests);
    expect(report.failures).toHaveLength(report.failed);
    expect(new Set(report.failures.map(({ reason }) => reason))).toEqual(
      new Set(["status 502", "ECONNRESET", "wrong answer"]),
    );
    expect(report.failures.every(({ kind, at, time }) => kind === "get" && at >= 0 && time.endsWith("Z"))).toBe(true);
  });

  it("keeps its rate while the site stalls, and counts the wait from when a request was due", async () => {
    let stalled = true;
    const waiting: (() => void)[] = [];
    const { url } = await serve((_request, response) => {
      const answer = () => response.end("v1 1 r\n");
      if (stalled) waiting.push(answer);
      else answer();
    });
    const load = keep(startLoad({ url, rate: 100, shares: { get: 1 }, fresh: 0 }));
    await pause(500);
    expect(load.snapshot().inFlight).toBeGreaterThan(35);
    stalled = false;
    for (const answer of waiting) answer();
    const report = await load.stop();
    expect(report.failed).toBe(0);
    expect(report.kinds.get.latency.max).toBeGreaterThan(450);
    expect(report.kinds.get.latency.p50).toBeGreaterThan(150);
  });

  it("fails what is not answered in time, and what it may not send", async () => {
    const { url } = await serve(() => undefined);
    const load = keep(startLoad({ url, rate: 100, shares: { get: 1 }, timeoutMs: 100, maxInFlight: 5 }));
    await pause(300);
    const { failures, failed, sent } = await load.stop();
    expect(failed).toBe(sent);
    const reasons = new Set(failures.map(({ reason }) => reason));
    expect(reasons).toEqual(new Set(["timeout", "not sent: 5 others unanswered"]));
  });

  it("ends by itself", async () => {
    const { url } = await serve(shop(() => "v1"));
    const load = keep(startLoad({ url, rate: 100, shares: { get: 1 }, longestMs: 200 }));
    await pause(400);
    expect(load.snapshot().sent).toBe(21);
  });

  it("fails every request to a site that is not there", async () => {
    const { url, server } = await serve(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    const load = keep(startLoad({ url, rate: 50, shares: { get: 0.5, upload: 0.5 } }));
    await pause(200);
    const { failures, ok } = await load.stop();
    expect(ok).toBe(0);
    expect(new Set(failures.map(({ reason }) => reason))).toEqual(new Set(["ECONNREFUSED"]));
  });

  it("stays on this machine", () => {
    expect(() => startLoad({ url: "http://198.51.100.1" })).toThrow("this machine alone");
    expect(() => startLoad({ url: "http://127.0.0.1:1", rate: Number.NaN })).toThrow("rate must be");
  });

  it("runs in a process of its own as well", async () => {
    const { url } = await serve(shop(() => "v3"));
    const load = keep(await startLoadProcess({ url, rate: 100, shares: all, slowMs: 100 }));
    await expect
      .poll(() => load.snapshot().latest, { timeout: 5000 })
      .toEqual({
        version: "v3",
        release: "20261121T103000Z-3f2c1ab",
      });
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.sent).toBe(report.ok + report.failed);
    expect(report.samples.get.ms).toHaveLength(report.kinds.get.ok);
  });

  it("says so when its process cannot start", async () => {
    await expect(startLoadProcess({ url: "http://198.51.100.1" })).rejects.toThrow("this machine alone");
  });
});

describe("the figures", () => {
  it("takes percentiles from the sorted values", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(summarize(values)).toEqual({ count: 100, p50: 50, p90: 90, p99: 99, max: 100 });
    expect(percentile([], 0.5)).toBe(0);
    expect(percentile([7], 0.99)).toBe(7);
  });

  it("splits latencies by when the requests were due", async () => {
    const { url } = await serve(shop(() => "v1"));
    const load = keep(startLoad({ url, rate: 100, shares: { get: 1 }, longestMs: 200 }));
    await pause(300);
    const report = await load.stop();
    const middle = { from: report.started + 45, to: report.started + 105 };
    const { inside, outside } = splitLatency(report, "get", [middle]);
    expect([inside.count, outside.count]).toEqual([6, 15]);
  });

  it("gives each kind its share", () => {
    const shares = { get: 3, slow: 1 };
    expect([0, 0.74, 0.76, 0.999].map((point) => kindAt(shares, point))).toEqual(["get", "get", "slow", "slow"]);
  });
});
