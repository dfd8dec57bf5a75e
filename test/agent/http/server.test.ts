import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, expect, test, vi } from "vitest";
import { startServer } from "../../../agent/http/server.ts";
import { allowedAddresses } from "../../../agent/settings-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { signToken } from "../../../shared/key.ts";
import { fakeDigest } from "../../fakes/service.ts";
import { makeCertificate } from "../../harness/certificate.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestAgentOptions } from "./support.ts";

const bundle = Buffer.alloc(300_000, "bundle ");
const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function agentWithToken(options: TestAgentOptions = {}): Promise<{ agent: TestAgent; authorization: string }> {
  const key = await newKey();
  const agent = await startTestAgent({ trust: [{ key: key.publicLine }], ...options });
  open.push(agent);
  const audience = `cutover/v1/${hostName}/shop/deploy/${fakeDigest(bundle)}`;
  return { agent, authorization: `Authorization: Bearer ${await signToken(key.signer, audience, { sub: "ci" })}` };
}

interface RawClient {
  socket: Socket;
  /** All that came so far. */
  text(): string;
}

async function rawClient(agent: TestAgent, lines: string[]): Promise<RawClient> {
  const socket = connect(agent.server.port, "127.0.0.1");
  open.push({ close: () => socket.destroy() });
  let received = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    received += chunk;
  });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(`${["POST /v1/apps/shop/releases HTTP/1.1", `Host: ${hostName}`, ...lines].join("\r\n")}\r\n\r\n`);
  return { socket, text: () => received };
}

const sized = `Content-Length: ${bundle.length}`;
const expectContinue = "Expect: 100-continue";

test("a body is not asked for when the token is refused", async () => {
  const { agent } = await agentWithToken();
  const client = await rawClient(agent, [sized, expectContinue]);
  await vi.waitUntil(() => client.text().includes('"code":"unauthorized"'));
  expect(client.text()).toMatch(/^HTTP\/1.1 401 /);
  expect(client.text()).not.toContain("100 Continue");
  expect(client.text().toLowerCase()).toContain("connection: close");
});

test("a body is asked for only when the app is free for it", async () => {
  const { agent, authorization } = await agentWithToken();
  const free = Promise.withResolvers<void>();
  agent.service.beforeBody = () => free.promise;
  const client = await rawClient(agent, [sized, expectContinue, authorization]);
  await vi.waitUntil(() => agent.service.calls.length === 1);
  await sleep(50);
  expect(client.text()).toBe("");
  free.resolve();
  await vi.waitUntil(() => client.text().includes("HTTP/1.1 100 Continue"));
  client.socket.write(bundle);
  await vi.waitUntil(() => client.text().includes("HTTP/1.1 202 "));
  expect(agent.service.received).toBe(bundle.length);
});

test("a client that sends without asking reads the refusal, and nothing of its body is taken", async () => {
  const { agent } = await agentWithToken();
  const client = await rawClient(agent, [`Content-Length: ${1024 ** 3}`]);
  const chunk = Buffer.alloc(64 * 1024);
  const timer = setInterval(() => client.socket.writable && client.socket.write(chunk), 1);
  try {
    await vi.waitUntil(() => client.text().includes('"code":"unauthorized"'));
  } finally {
    clearInterval(timer);
  }
  expect(agent.service.calls).toEqual([]);
});

test("after a refusal the connection closes, also when the client does not", async () => {
  const { agent } = await agentWithToken({ times: { lingerMs: 100 } });
  const client = await rawClient(agent, [sized]);
  await once(client.socket, "close");
  expect(client.text()).toMatch(/^HTTP\/1.1 401 /);
});

test("a bundle that is refused halfway is answered, although the client still sends", async () => {
  const { agent, authorization } = await agentWithToken({ times: { lingerMs: 500 } });
  agent.service.failure = new CutoverError("bundle_altered", "app/manage.py differs.");
  const client = await rawClient(agent, [`Content-Length: ${10 * bundle.length}`, authorization]);
  client.socket.write(bundle);
  await vi.waitUntil(() => client.text().includes('"code":"bundle_altered"'));
  expect(client.text()).toMatch(/^HTTP\/1.1 422 /);
});

test("a body that comes too slowly is cut", async () => {
  const { agent, authorization } = await agentWithToken({
    http: { bodyRate: { bytesPerSecond: 10_000, windowMs: 100 } },
  });
  const client = await rawClient(agent, [sized, authorization]);
  const timer = setInterval(() => client.socket.writable && client.socket.write("x"), 10);
  try {
    await vi.waitUntil(() => client.text().includes('"code":"timed_out"'), { timeout: 5000 });
  } finally {
    clearInterval(timer);
  }
  expect(client.text()).toMatch(/^HTTP\/1.1 408 /);
});

test("a slow body that keeps the rate is taken, however long it takes", async () => {
  const { agent, authorization } = await agentWithToken({
    http: { bodyRate: { bytesPerSecond: 1000, windowMs: 100 } },
    times: { headersMs: 200 },
  });
  const client = await rawClient(agent, [sized, authorization]);
  // Longer than every limit of time that there is, and well above the rate.
  for (let sent = 0; sent < bundle.length; sent += 20_000) {
    client.socket.write(bundle.subarray(sent, sent + 20_000));
    await sleep(50);
  }
  await vi.waitUntil(() => client.text().includes("HTTP/1.1 202 "), { timeout: 5000 });
});

test("time in which the service does not read does not count against the client", async () => {
  const { agent, authorization } = await agentWithToken({
    http: { bodyRate: { bytesPerSecond: 1_000_000, windowMs: 50 } },
  });
  const original = agent.service.deploy.bind(agent.service);
  agent.service.deploy = (app, request) => {
    const body = () => {
      const stream = request.body();
      const read = stream[Symbol.asyncIterator].bind(stream);
      stream[Symbol.asyncIterator] = async function* () {
        await sleep(400);
        yield* read();
      } as unknown as typeof read;
      return stream;
    };
    return original(app, { ...request, body });
  };
  const client = await rawClient(agent, [sized, authorization]);
  client.socket.write(bundle);
  await vi.waitUntil(() => client.text().includes("HTTP/1.1 202 "), { timeout: 5000 });
});

test("a client that goes away ends the upload, and the call's signal is aborted", async () => {
  const { agent, authorization } = await agentWithToken();
  const gone = Promise.withResolvers<void>();
  agent.service.beforeBody = async ({ signal }) => signal.addEventListener("abort", () => gone.resolve());
  const client = await rawClient(agent, [sized, authorization]);
  client.socket.write(bundle.subarray(0, 1000));
  await vi.waitUntil(() => agent.service.calls.length === 1);
  await sleep(20);
  client.socket.destroy();
  await gone.promise;
  await vi.waitUntil(() => agent.log().includes('"code":"bundle_truncated"'));
});

test("headers that do not come are not waited for", async () => {
  const { agent } = await agentWithToken({ times: { headersMs: 100 } });
  const socket = connect(agent.server.port, "127.0.0.1");
  open.push({ close: () => socket.destroy() });
  socket.write("POST /v1/apps/shop/releases HTTP/1.1\r\nHost:");
  await once(socket.resume(), "close");
});

test("a port that is taken is named", async () => {
  const { agent } = await agentWithToken();
  const again = startServer({ host: "127.0.0.1", port: agent.server.port }, { app: agent.app });
  await expect(again).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: `The agent cannot listen on 127.0.0.1:${agent.server.port}: another program listens there.`,
  });
});

test("a certificate that is none is named", async () => {
  const { agent } = await agentWithToken();
  const tls = { certificate: "not PEM", key: "not PEM" };
  await expect(startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls })).rejects.toMatchObject({
    code: "host_settings_invalid",
  });
});

async function certificates(...names: string[]) {
  const directory = await mkdtemp(join(tmpdir(), "cutover-tls-"));
  open.push({ close: () => rm(directory, { recursive: true }) });
  return Promise.all(names.map((name) => makeCertificate(directory, name)));
}

async function secured(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({ host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false, ...options });
  open.push({ close: () => socket.destroy() });
  await once(socket, "secureConnect");
  return socket;
}

async function statusOver(socket: TLSSocket): Promise<string> {
  socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [data] = await once(socket, "data");
  return String(data).split("\r\n")[0] ?? "";
}

const subjectOf = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN;

test("with a certificate it speaks TLS 1.2 and later, and nothing before", async () => {
  const { agent } = await agentWithToken();
  const [web] = await certificates("web");
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls: web! });
  open.push(server);
  const { port } = server;
  const trusting = await secured({ port, rejectUnauthorized: true, ca: web?.certificate });
  expect(await statusOver(trusting)).toBe("HTTP/1.1 200 OK");
  expect((await secured({ port, maxVersion: "TLSv1.2" })).getProtocol()).toBe("TLSv1.2");
  // Ciphers that the client itself would refuse otherwise.
  const old = secured({ port, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
  await expect(old).rejects.toMatchObject({ code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
});

test("a client that never begins with TLS is not waited for", async () => {
  const { agent } = await agentWithToken();
  const [web] = await certificates("web");
  const server = await startServer(
    { host: "127.0.0.1", port: 0 },
    { app: agent.app, tls: web!, times: { headersMs: 500 } },
  );
  open.push(server);
  const silent = connect(server.port, "127.0.0.1");
  open.push({ close: () => silent.destroy() });
  await once(silent.resume(), "close");
});

test("a renewed certificate is used from the next connection on, and those that are open go on", async () => {
  const { agent } = await agentWithToken();
  const [first, second] = await certificates("first", "second");
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls: first! });
  open.push(server);
  const { port } = server;
  const kept = await secured({ port });
  expect([subjectOf(kept), await statusOver(kept)]).toEqual(["first", "HTTP/1.1 200 OK"]);
  server.renewTls(second!);
  expect(await statusOver(kept)).toBe("HTTP/1.1 200 OK");
  const next = await secured({ port });
  expect([subjectOf(next), await statusOver(next)]).toEqual(["second", "HTTP/1.1 200 OK"]);
  await expect(
    secured({ port, maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" }),
  ).rejects.toThrow();
});

test.each(["plain", "TLS"])("an address that is not allowed is refused before a byte is read: %s", async (kind) => {
  const { agent } = await agentWithToken();
  const [web] = await certificates("web");
  const refused: string[] = [];
  const tls = kind === "TLS" ? { tls: web! } : {};
  const allowed = allowedAddresses(["127.0.0.2", "10.0.0.0/8"]);
  const onRefused = (address: string) => void refused.push(address);
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, allowed, onRefused, ...tls });
  open.push(server);
  const stranger = connect({ port: server.port, host: "127.0.0.1" });
  stranger.on("error", () => undefined);
  const got: Buffer[] = [];
  stranger.on("data", (data) => got.push(data));
  stranger.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(stranger, "close");
  expect([got, refused]).toEqual([[], ["127.0.0.1"]]);
  const friend = connect({ port: server.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  open.push({ close: () => friend.destroy() });
  const secure = kind === "TLS" ? connectTls({ socket: friend, rejectUnauthorized: false }) : friend;
  secure.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const [answer] = await once(secure, "data");
  expect(String(answer)).toMatch(/^HTTP\/1.1 200 OK/);
});

test.each([
  [["10.0.0.0/8"], "10.1.2.3", true],
  [["10.0.0.0/8"], "11.0.0.1", false],
  [["10.0.0.0/8"], "::ffff:10.1.2.3", true],
  [["10.0.0.0/8"], "::ffff:11.0.0.1", false],
  [["192.0.2.7"], "192.0.2.7", true],
  [["192.0.2.7"], "192.0.2.8", false],
  [["2001:db8::/32"], "2001:db8:1::1", true],
  [["2001:db8::/32"], "2001:db9::1", false],
  [["2001:db8::1"], "10.0.0.1", false],
  [[], "203.0.113.9", true],
])("of %j %s is allowed: %s", (allow, address, expected) => {
  expect(allowedAddresses(allow)(address)).toBe(expected);
});
