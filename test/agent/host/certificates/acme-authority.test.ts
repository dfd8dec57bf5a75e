import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { AcmeAuthority } from "../../../../agent/host/certificates/acme-authority.ts";
import { challengesDirectory } from "../../../../agent/host/certificates/challenges.ts";
import { certificateId } from "../../../../agent/host/certificates/renewal-id.ts";
import { acme } from "../../../../agent/settings-values.ts";
import { openAuthority } from "../../../harness/authority.ts";
import { Pebble } from "../../../harness/pebble.ts";
import { nobody, siteHost } from "../nginx/site-host.ts";
import { freePort, scratch } from "../scratch.ts";

const names = ["shop.example.com", "www.example.com"];
const { signal } = new AbortController();
const poll = { min: 50, max: 500 };

/** A site with `tls: auto` behind a real nginx, and a pebble that asks it. */
async function world(options: Partial<Parameters<typeof Pebble.open>[0]> = {}, more: { limitMs?: number } = {}) {
  const host = await siteHost();
  const securePort = await freePort();
  const listen = [`127.0.0.1:${host.port}`, `127.0.0.1:${securePort} ssl`];
  host.allow({ listen, tls: "auto", domains: names });
  const pebble = await Pebble.open({ httpPort: host.port, ...options });
  onTestFinished(() => pebble[Symbol.asyncDispose]());
  const { data } = host.settings;
  const authority = new AcmeAuthority({
    data,
    settings: acme.parse({ ...pebble.settings, email: "ops@example.com" }),
    poll,
    ...more,
  });
  const request = () => host.privileged.certificateRequest("shop", names);
  return { ...host, authority, request, data };
}

test("pebble with its faults on gives certificates, again and again, to an account whose key nobody else can read", async () => {
  const { authority, request, data, privileged, serve } = await world();
  await serve({}, [nobody()]);
  const serials = new Set<string>();
  for (let turn = 0; turn < 3; turn++) {
    const result = await authority.order({ names, request: await request() }, signal);
    if (result.kind !== "issued") throw new Error(result.reason);
    await privileged.installCertificate("shop", result.chain);
    const leaf = new X509Certificate(result.chain);
    expect(leaf.subjectAltName).toBe("DNS:shop.example.com, DNS:www.example.com");
    serials.add(leaf.serialNumber);
    expect(await serve({}, [nobody()])).toEqual({ reloaded: true });
  }
  expect(serials.size).toBe(3);
  expect(readdirSync(join(challengesDirectory(data), ".well-known/acme-challenge"))).toEqual([]);
  const account = join(data, "acme", "account.json");
  expect(statSync(account).mode & 0o777).toBe(0o600);
  expect(readFileSync(account, "utf8")).toContain("PRIVATE KEY");
});

test("a name that does not lead here: the authority's own words say which and why, and no answer is left", async () => {
  const { authority, request, data } = await world();
  // nginx has no site yet, so nothing listens where pebble asks.
  const result = await authority.order({ names, request: await request() }, signal);
  expect(result).toMatchObject({
    kind: "refused",
    reason: expect.stringMatching(/could not prove (?:shop|www)\.example\.com: .*connection refused/),
  });
  expect(readdirSync(join(challengesDirectory(data), ".well-known/acme-challenge"))).toEqual([]);
});

test("an authority that is not there, and one whose certificate nobody vouches for", async () => {
  const dir = scratch();
  const request = "";
  const absent = new AcmeAuthority({
    data: dir,
    settings: acme.parse({ directory: `http://127.0.0.1:${await freePort()}/dir` }),
  });
  expect(await absent.order({ names, request }, signal)).toMatchObject({
    kind: "refused",
    reason: expect.stringMatching(/^The authority at 127\.0\.0\.1:\d+ cannot be reached: connect ECONNREFUSED/),
  });
  const pebble = await Pebble.open({ httpPort: 1 });
  onTestFinished(() => pebble[Symbol.asyncDispose]());
  const { directory } = pebble.settings;
  const stranger = new AcmeAuthority({ data: dir, settings: acme.parse({ directory }) });
  expect(await stranger.order({ names, request }, signal)).toMatchObject({
    kind: "refused",
    reason: expect.stringContaining("self-signed certificate"),
  });
});

test("an authority that never decides ends with its time, and no answer is left", async () => {
  const { authority, request, data, serve } = await world(
    {
      front({ url = "" }, response) {
        if (!url.includes("/chalZ/")) return false;
        response.writeHead(200, { "replay-nonce": "bm9uY2U" });
        response.end(JSON.stringify({ type: "http-01", status: "pending", url, token: "t".repeat(43) }));
        return true;
      },
    },
    { limitMs: 500 },
  );
  await serve({}, [nobody()]);
  const result = await authority.order({ names, request: await request() }, signal);
  expect(result).toEqual({ kind: "refused", reason: "The authority did not end the order within 1.5 seconds." });
  expect(readdirSync(join(challengesDirectory(data), ".well-known/acme-challenge"))).toEqual([]);
});

test("an authority that names an address of plain HTTP, or wants more proofs than there are names, is not followed", async () => {
  let asked = 0;
  const inner = createServer((_, response) => {
    asked++;
    response.end();
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void inner.close());
  await once(inner, "listening");
  const { port } = inner.address() as AddressInfo;
  let lie: "plain" | "many" = "plain";
  const { authority, request, serve } = await world({
    front({ url = "", headers }, response) {
      const base = `https://${headers.host}`;
      if (lie === "plain" && url === "/dir") {
        const inside = `http://127.0.0.1:${port}/`;
        response.end(JSON.stringify({ newNonce: inside, newAccount: inside, newOrder: inside, renewalInfo: inside }));
        return true;
      }
      if (lie === "many" && url.includes("order-plz")) {
        response.writeHead(201, { location: `${base}/my-order/x`, "replay-nonce": "bm9uY2U" });
        const authorizations = Array.from({ length: 1000 }, (_, index) => `http://127.0.0.1:${port}/${index}`);
        response.end(JSON.stringify({ status: "pending", identifiers: [], authorizations, finalize: `${base}/f` }));
        return true;
      }
      return false;
    },
  });
  await serve({}, [nobody()]);
  const order = async () => authority.order({ names, request: await request() }, signal);
  expect(await order()).toMatchObject({ kind: "refused", reason: expect.stringContaining("without https") });
  lie = "many";
  expect(await order()).toMatchObject({ kind: "refused", reason: expect.stringContaining("1000 proofs for 2 names") });
  expect(asked).toBe(0);
});

test("an authority that limits its callers is asked again when it says", async () => {
  let limited = true;
  const { authority, request, serve } = await world({
    front(incoming, response) {
      if (!limited || incoming.url?.includes("order") !== true) return false;
      response.writeHead(429, { "retry-after": "7200", "content-type": "application/problem+json" });
      response.end(JSON.stringify({ type: "urn:ietf:params:acme:error:rateLimited", detail: "too many certificates" }));
      return true;
    },
  });
  await serve({}, [nobody()]);
  expect(await authority.order({ names, request: await request() }, signal)).toEqual({
    kind: "refused",
    reason: "The authority says: too many certificates",
    retryAfterMs: 7_200_000,
  });
  limited = false;
  expect(await authority.order({ names, request: await request() }, signal)).toMatchObject({ kind: "issued" });
});

test("an authority that says when to renew is asked, and told which certificate a new one replaces", async () => {
  const asked: string[] = [];
  const orders: Record<string, unknown>[] = [];
  let replaced = false;
  const { authority, request, serve } = await world({
    async front({ url = "", headers, method }, response, body) {
      if (url === "/dir") {
        const base = `https://${headers.host}`;
        const paths = {
          newNonce: "/nonce-plz",
          newAccount: "/sign-me-up",
          newOrder: "/order-plz",
          revokeCert: "/revoke-cert",
        };
        const directory = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, base + path]));
        response.end(JSON.stringify({ ...directory, renewalInfo: `${base}/renewal`, meta: {} }));
        return true;
      }
      if (url.startsWith("/renewal/")) {
        asked.push(url.slice("/renewal/".length));
        response.setHeader("retry-after", "3600");
        const suggestedWindow = { start: "2027-01-02T04:00:00Z", end: "2027-01-03T04:00:00Z" };
        response.end(JSON.stringify({ suggestedWindow }));
        return true;
      }
      if (url !== "/order-plz" || method !== "POST") return false;
      const { payload } = JSON.parse(body) as { payload: string };
      const order = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
      orders.push(order);
      if (!replaced || order.replaces === undefined) return false;
      response.writeHead(409, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ type: "urn:ietf:params:acme:error:alreadyReplaced", detail: "replaced already" }));
      return true;
    },
    env: { PEBBLE_WFE_NONCEREJECT: "0", PEBBLE_VA_NOSLEEP: "1" },
  });
  await serve({}, [nobody()]);
  const issue = async (replaces?: string) => {
    const result = await authority.order({ names, request: await request(), replaces }, signal);
    if (result.kind !== "issued") throw new Error(result.reason);
    return result.chain;
  };
  const first = await issue();
  const id = await certificateId(first);
  expect(await authority.renewalWindow(first, signal)).toEqual({
    start: Date.parse("2027-01-02T04:00:00Z"),
    end: Date.parse("2027-01-03T04:00:00Z"),
    askAgainMs: 3_600_000,
  });
  expect(asked).toEqual([id]);
  const second = await issue(first);
  replaced = true;
  await issue(second);
  expect(orders.map(({ replaces }) => replaces)).toEqual([undefined, id, await certificateId(second), undefined]);
});

test("an authority without an opinion about renewals is none, and a certificate of nobody's key has no id", async () => {
  const { authority, data, request } = await world();
  const chain = openAuthority(data).sign(await request());
  expect(await authority.renewalWindow(chain, signal)).toBeUndefined();
});

test("the id of a certificate is that of RFC 9773, appendix A", async () => {
  const pem = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`;
  expect(await certificateId(pem)).toBe("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
});
