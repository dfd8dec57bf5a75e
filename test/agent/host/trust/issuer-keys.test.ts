import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IssuerKeyFiles, type KeyTimes } from "../../../../agent/host/trust/issuer-keys.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import type { GithubIssuer } from "../../../../agent/settings-values.ts";
import { TokenServer } from "../../../fakes/token-server.ts";
import { makeCertificate } from "../../../harness/certificate.ts";
import { Scratch } from "../../../harness/scratch.ts";

const minute = 60_000;
const day = 24 * 60 * minute;

let scratch: Scratch;
let server: TokenServer;
let now: number;
let trouble: string[];

beforeEach(async () => {
  scratch = new Scratch("keys");
  server = await TokenServer.start();
  now = Date.now();
  trouble = [];
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

function issuer(more: Partial<GithubIssuer> = {}): GithubIssuer {
  const own = { issuer: server.issuer, server: "https://github.com", ...more };
  const [parsed] = agentSettingsSchema.parse({ github: [own] }).github;
  if (parsed === undefined) throw new Error("no issuer");
  return parsed;
}

/** As after a start of the agent. */
function open(more: Partial<GithubIssuer> = {}, times: Partial<KeyTimes> = {}): IssuerKeyFiles {
  const onTrouble = (_issuer: string, detail: string) => void trouble.push(detail);
  return new IssuerKeyFiles({ data: scratch.path, issuers: [issuer(more)], now: () => now, onTrouble, times });
}

const kindOf = async (keys: IssuerKeyFiles, kid = server.key.kid) => (await keys.find(server.issuer, kid)).kind;
const cache = () => join(scratch.path, "issuer-keys", readdirSync(join(scratch.path, "issuer-keys"))[0] ?? "");

test("keys are asked for once and kept, for the agent's user alone", async () => {
  const keys = open();
  expect([await kindOf(keys), await kindOf(keys)]).toEqual(["key", "key"]);
  expect(server.keysAsked).toBe(1);
  expect(statSync(cache()).mode & 0o777).toBe(0o600);
  expect(await kindOf(open())).toBe("key");
  expect(server.keysAsked).toBe(1);
});

test("calls at once ask once together", async () => {
  const keys = open();
  const kinds = await Promise.all(Array.from({ length: 20 }, () => kindOf(keys)));
  expect(new Set(kinds)).toEqual(new Set(["key"]));
  expect(server.keysAsked).toBe(1);
});

test("a flood of unknown key ids asks once, and again only after a while", async () => {
  const keys = open();
  await kindOf(keys);
  now += minute;
  const flood = () => Promise.all(Array.from({ length: 50 }, (_, index) => kindOf(keys, `made-up-${index}`)));
  expect(new Set(await flood())).toEqual(new Set(["unknown"]));
  await flood();
  expect(server.keysAsked).toBe(2);
  now += minute;
  await flood();
  expect(server.keysAsked).toBe(3);
});

test("a new key is found when the issuer has changed its keys, and the old one is none any more", async () => {
  const keys = open();
  const old = server.key.kid;
  await kindOf(keys);
  await server.rotate();
  now += minute;
  expect(await kindOf(keys)).toBe("key");
  expect(await kindOf(keys, old)).toBe("unknown");
  expect(server.keysAsked).toBe(2);
});

test("old and new key count while the issuer publishes both", async () => {
  const keys = open();
  const old = server.key.kid;
  await server.rotate({ keepOld: true });
  expect([await kindOf(keys), await kindOf(keys, old)]).toEqual(["key", "key"]);
});

test("keys on disk are used while the issuer cannot be reached, until they are too old", async () => {
  await kindOf(open({ keys_age: "2d" }));
  server.state = "down";
  now += day;
  const keys = open({ keys_age: "2d" });
  expect(await kindOf(keys)).toBe("key");
  expect(trouble.join()).toMatch(/ECONNRESET|socket hang up/);
  now += 1.5 * day;
  expect(await keys.find(server.issuer, server.key.kid)).toMatchObject({
    kind: "unavailable",
    detail: expect.stringContaining("too old"),
  });
  server.state = "up";
  now += minute;
  expect(await kindOf(keys)).toBe("key");
});

test("an issuer that never answered leaves no key, and is not asked at each call", async () => {
  server.state = 503;
  const keys = open();
  for (let count = 0; count < 5; count++) {
    expect(await keys.find(server.issuer, "x")).toMatchObject({
      kind: "unavailable",
      detail: expect.stringContaining("it answered 503; it never answered"),
    });
  }
  expect(server.keysAsked).toBe(1);
  server.state = "up";
  now += 6000;
  expect(await kindOf(keys)).toBe("key");
});

test("an authority that the host does not know: the log says which setting makes it known", async () => {
  const { certificate: cert, key } = await makeCertificate(scratch.path, "ghes");
  const secure = createSecureServer({ cert, key }).listen(0, "127.0.0.1");
  await once(secure, "listening");
  const url = `https://localhost:${(secure.address() as AddressInfo).port}`;
  const keys = new IssuerKeyFiles({ data: scratch.path, issuers: [issuer({ issuer: url })] });
  const found = await keys.find(url, "x");
  secure.close();
  expect(found).toMatchObject({ kind: "unavailable", detail: expect.stringContaining("NODE_EXTRA_CA_CERTS") });
});

test("a clock that is far from when the keys came makes them too old, either way", async () => {
  await kindOf(open());
  server.state = "down";
  now -= 30 * day;
  expect(await kindOf(open())).toBe("unavailable");
});

test("keys of another address are not taken for this one's", async () => {
  await kindOf(open());
  server.state = "down";
  expect(await kindOf(open({ jwks: `${server.url}/other` }))).toBe("unavailable");
});

test.each(["", "{", '{"keys":[]}', "null"])("a file that holds %j is as good as none", async (text) => {
  await kindOf(open());
  writeFileSync(cache(), text);
  expect(await kindOf(open())).toBe("key");
  expect(server.keysAsked).toBe(2);
});

test("an issuer that agent.yml does not name has no keys and is not asked", async () => {
  expect(await open().find("https://issuer.example.com", "x")).toEqual({ kind: "unknown" });
  expect(server.keysAsked).toBe(0);
});

test("without a place to keep keys they count all the same", async () => {
  writeFileSync(join(scratch.path, "issuer-keys"), "a file where a directory belongs");
  expect(await kindOf(open())).toBe("key");
  expect(trouble.join()).toContain("cannot be saved");
});

async function answering(answer: (send: Server) => Server): Promise<{ url: string } & AsyncDisposable> {
  const odd = answer(createServer());
  await new Promise<void>((resolve) => odd.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(odd.address() as AddressInfo).port}/jwks`,
    async [Symbol.asyncDispose]() {
      odd.closeAllConnections();
      await new Promise((resolve) => odd.close(resolve));
    },
  };
}

const odd: [string, (server: Server) => Server, string][] = [
  ["HTML", (odd) => odd.on("request", (_request, response) => response.end("<html>")), "not valid JSON"],
  ["no set of keys", (odd) => odd.on("request", (_request, response) => response.end("{}")), "no set of keys"],
  [
    "a redirect to another address",
    (odd) => odd.on("request", (_request, response) => response.writeHead(302, { location: server.jwks }).end()),
    "it answered 302",
  ],
  [
    "an answer without an end",
    (odd) =>
      odd.on("request", (_request, response) => void setInterval(() => response.write("x".repeat(65_536)), 1).unref()),
    "longer than",
  ],
  ["silence", (odd) => odd.on("request", () => undefined), "did not answer within"],
];

test.each(odd)("%s is no answer, and takes no more time or memory than it may", async (_name, answer, reason) => {
  await using other = await answering(answer);
  const keys = open({ jwks: other.url }, { fetch: { ms: 500, bytes: 256 * 1024 } });
  expect(await keys.find(server.issuer, "x")).toMatchObject({
    kind: "unavailable",
    detail: expect.stringContaining(reason),
  });
  expect(server.keysAsked).toBe(0);
});

test("an issuer behind a proxy is asked through it, where the agent's environment says so", async () => {
  const asked: string[] = [];
  const through = (proxy: Server) =>
    proxy.on("request", (request, response) => {
      asked.push(request.url ?? "");
      response.end("{}");
    });
  await using proxy = await answering(through);
  const script =
    'import("./agent/host/net/fetch-json.ts").then((it) => it.fetchJson(process.argv[1], { ms: 5000, bytes: 100 }))';
  const env = { PATH: process.env.PATH, NODE_USE_ENV_PROXY: "1", HTTP_PROXY: new URL(proxy.url).origin };
  await promisify(execFile)(process.execPath, ["-e", script, "http://issuer.test/jwks"], { env });
  expect(asked).toEqual(["http://issuer.test/jwks"]);
});

test("only what a key needs is kept of the answer", async () => {
  await kindOf(open());
  const kept = JSON.parse(readFileSync(cache(), "utf8"));
  expect(Object.keys(kept.keys.keys[0]).toSorted()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
});
