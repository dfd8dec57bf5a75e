import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { get } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { startServer } from "../../../agent/http/server.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { signToken } from "../../../shared/key.ts";
import { fakeDigest } from "../../fakes/service.ts";
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

test("a client that goes away ends the upload, and the call is told", async () => {
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
    message: `The agent cannot listen on 127.0.0.1:${agent.server.port}: something else listens there.`,
  });
});

test("a certificate that is none is named", async () => {
  const { agent } = await agentWithToken();
  const tls = { certificate: "not PEM", key: "not PEM" };
  await expect(startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls })).rejects.toMatchObject({
    code: "host_settings_invalid",
  });
});

test("with a certificate it speaks TLS", async () => {
  const { agent } = await agentWithToken();
  const directory = await mkdtemp(join(tmpdir(), "cutover-tls-"));
  open.push({ close: () => rm(directory, { recursive: true }) });
  const [certificateFile, keyFile] = [join(directory, "certificate.pem"), join(directory, "key.pem")];
  const making = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  await promisify(execFile)("openssl", [...making, ...names, "-out", certificateFile, "-keyout", keyFile]);
  const certificate = await readFile(certificateFile, "utf8");
  const tls = { certificate, key: await readFile(keyFile, "utf8") };
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls, times: { headersMs: 500 } });
  open.push(server);
  const options = {
    host: "127.0.0.1",
    port: server.port,
    servername: "localhost",
    path: "/healthz",
    ca: certificate,
    agent: false,
  };
  const [response] = await once(get(options), "response");
  expect(response.statusCode).toBe(200);
  response.resume();
  await once(response, "end");
  // A client that never begins with TLS is not waited for either.
  const silent = connect(server.port, "127.0.0.1");
  open.push({ close: () => silent.destroy() });
  await once(silent.resume(), "close");
});
