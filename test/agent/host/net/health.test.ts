import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Instance } from "../../../../agent/contracts/privileged.ts";
import { SocketProbe } from "../../../../agent/host/net/health.ts";
import type { Protocol } from "../../../../shared/config-server.ts";
import { eventually, freePort, scratch } from "../scratch.ts";

const probe = new SocketProbe("9.9.9");
const request = { path: "/up?x=1", host: "shop.example.com", timeoutMs: 2000 };

const web = (socket: string, protocol: Protocol = "http"): Instance => ({
  name: "web-0",
  address: `unix:${socket}`,
  protocol,
});

function serve(listener: RequestListener): string {
  const socket = join(scratch(), "web.sock");
  const server = createServer(listener).listen(socket);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return socket;
}

test("one request, as nginx would send it for a visitor by HTTPS", async () => {
  let seen = {};
  const socket = serve(({ url, method, headers }, response) => {
    seen = { url, method, ...headers };
    response.writeHead(301, { Location: "https://shop.example.com/" }).end("moved");
  });
  expect(await probe.check(web(socket), request)).toEqual({
    kind: "status",
    status: 301,
    body: "moved",
    location: "https://shop.example.com/",
  });
  expect(seen).toEqual({
    url: "/up?x=1",
    method: "GET",
    host: "shop.example.com",
    "user-agent": "cutover-health/9.9.9",
    accept: "*/*",
    "x-forwarded-proto": "https",
    connection: "close",
  });
});

test("of a long body 2 KiB are kept, also of an endless one", async () => {
  const socket = serve((_, response) => {
    response.writeHead(500);
    const timer = setInterval(() => response.write("x".repeat(1000)), 1);
    response.on("close", () => clearInterval(timer));
  });
  const answer = await probe.check(web(socket), request);
  expect(answer).toMatchObject({ kind: "status", status: 500, body: "x".repeat(2048) });
});

test("a body that breaks off does not hide the status, and is no whole answer", async () => {
  const socket = serve((_, response) => {
    response.writeHead(503, { "Content-Length": 100 }).write("half", () => response.destroy());
  });
  expect(await probe.check(web(socket), request)).toMatchObject({ status: 503, body: "half", broken: true });
});

test("a page that takes longer than the time limit is not a broken one", async () => {
  const socket = serve((_, response) => void response.writeHead(200).write("half"));
  const answer = await probe.check(web(socket), { ...request, timeoutMs: 200 });
  expect(answer).toMatchObject({ status: 200, body: "half" });
  expect(answer).not.toHaveProperty("broken");
});

test("what cannot be reached has a reason", async () => {
  const dir = scratch();
  const check = (name: string, timeoutMs = 2000) => probe.check(web(join(dir, name)), { ...request, timeoutMs });
  expect(await check("none")).toEqual({ kind: "unreachable", reason: "its socket is not there yet", how: "absent" });

  const silent = serve(() => undefined);
  expect(await probe.check(web(silent), { ...request, timeoutMs: 50 })).toEqual({
    kind: "unreachable",
    reason: "no answer within 50 ms",
    how: "silent",
  });

  for (const [name, text, said] of [
    ["closes", "", { reason: "it closed the connection without an answer", how: "closed" }],
    ["babbles", "SSH-2.0\r\n\r\n", { reason: "its answer is not HTTP", how: "garbled" }],
  ] as const) {
    const server = createTcpServer((connection) => connection.once("data", () => connection.end(text)));
    server.listen(join(dir, name));
    onTestFinished(() => void server.close());
    expect(await check(name)).toEqual({ kind: "unreachable", ...said });
  }
});

test("a real gunicorn", async () => {
  const dir = scratch();
  const socket = join(dir, "g.sock");
  writeFileSync(
    join(dir, "app.py"),
    "def app(environ, start):\n    start('200 OK', [])\n    return [environ['HTTP_HOST'].encode(), b' ', environ['HTTP_X_FORWARDED_PROTO'].encode()]\n",
  );
  const gunicorn = spawn("/usr/bin/python3", ["-m", "gunicorn", "--bind", `unix:${socket}`, "app:app"], {
    cwd: dir,
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => gunicorn.once("exit", resolve));
  onTestFinished(async () => {
    gunicorn.kill("SIGTERM");
    await ended;
  });
  const check = () => probe.check(web(socket), request);
  await eventually(async () => (await check()).kind === "status");
  expect(await check()).toMatchObject({ status: 200, body: "shop.example.com https" });
});

test("a socket that a killed server left behind", async () => {
  const socket = join(scratch(), "k.sock");
  const code = `import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(${JSON.stringify(socket)}); s.listen()`;
  const python = spawn("/usr/bin/python3", ["-c", code], { stdio: "ignore" });
  await new Promise((resolve) => python.once("exit", resolve));
  expect(await probe.check(web(socket), request)).toEqual({
    kind: "unreachable",
    reason: "nothing listens on its socket",
    how: "absent",
  });
});

/** Speaks uwsgi as a server does: reads one packet, and answers with a text. */
function serveUwsgi(answer: (packet: Map<string, string>) => string): string {
  const socket = join(scratch(), "u.sock");
  const server = createTcpServer((connection) => {
    connection.on("error", () => undefined);
    connection.once("data", (data) => connection.end(answer(unpacked(data))));
  }).listen(socket);
  onTestFinished(() => void server.close());
  return socket;
}

function unpacked(data: Buffer): Map<string, string> {
  expect([data[0], data.readUInt16LE(1), data[3]]).toEqual([0, data.length - 4, 0]);
  const texts: string[] = [];
  for (let at = 4; at < data.length; ) {
    const end = at + 2 + data.readUInt16LE(at);
    texts.push(data.toString("utf8", at + 2, end));
    at = end;
  }
  return new Map(texts.flatMap((name, index) => (index % 2 === 0 ? [[name, texts[index + 1] ?? ""] as const] : [])));
}

test("the same request in the uwsgi protocol", async () => {
  let seen = new Map<string, string>();
  const socket = serveUwsgi((packet) => {
    seen = packet;
    return "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Type: text/plain\r\n\r\nto the login";
  });
  const path = "/gr%C3%BC%C3%9Fe/ü?x=1&y=%20";
  expect(await probe.check(web(socket, "uwsgi"), { ...request, path, host: "shop.example.com:8443" })).toEqual({
    kind: "status",
    status: 302,
    body: "to the login",
    location: "/login",
  });
  expect(Object.fromEntries(seen)).toEqual({
    REQUEST_METHOD: "GET",
    REQUEST_URI: "/gr%C3%BC%C3%9Fe/%C3%BC?x=1&y=%20",
    PATH_INFO: "/grüße/ü",
    QUERY_STRING: "x=1&y=%20",
    CONTENT_TYPE: "",
    CONTENT_LENGTH: "",
    SERVER_PROTOCOL: "HTTP/1.1",
    REQUEST_SCHEME: "https",
    HTTPS: "on",
    UWSGI_SCHEME: "https",
    SERVER_NAME: "shop.example.com",
    SERVER_PORT: "443",
    REMOTE_ADDR: "127.0.0.1",
    REMOTE_PORT: "0",
    HTTP_HOST: "shop.example.com:8443",
    HTTP_USER_AGENT: "cutover-health/9.9.9",
    HTTP_ACCEPT: "*/*",
    HTTP_X_FORWARDED_PROTO: "https",
  });
});

test("what cannot be asked in the uwsgi protocol has a reason too", async () => {
  const check = (socket: string, timeoutMs = 2000) => probe.check(web(socket, "uwsgi"), { ...request, timeoutMs });
  const absent = { kind: "unreachable", reason: "its socket is not there yet", how: "absent" };
  expect(await check(join(scratch(), "none"))).toEqual(absent);
  const babbles = serveUwsgi(() => "SSH-2.0\r\n\r\n");
  expect(await check(babbles)).toEqual({
    ...{ kind: "unreachable", reason: "its answer is not HTTP", how: "garbled" },
  });
  const closes = serveUwsgi(() => "");
  expect(await check(closes)).toEqual({
    kind: "unreachable",
    reason: "it closed the connection without an answer; it is asked in the uwsgi protocol",
    how: "closed",
  });
  const silent = join(scratch(), "s.sock");
  const server = createTcpServer().listen(silent);
  onTestFinished(() => void server.close());
  expect(await check(silent, 50)).toEqual({ kind: "unreachable", reason: "no answer within 50 ms", how: "silent" });
});

test("a long answer in the uwsgi protocol is cut at 2 KiB", async () => {
  const socket = serveUwsgi(() => `HTTP/1.1 500 Internal Server Error\r\n\r\n${"x".repeat(1_000_000)}`);
  expect(await probe.check(web(socket, "uwsgi"), request)).toMatchObject({ status: 500, body: "x".repeat(2048) });
});

test.each(["http", "uwsgi"] as const)("over a port, in the protocol %s", async (protocol) => {
  const port = await freePort();
  const instance: Instance = { name: "web-0", address: `127.0.0.1:${port}`, protocol };
  expect(await probe.check(instance, request)).toEqual({
    kind: "unreachable",
    reason: `nothing listens on its port ${port}`,
    how: "absent",
  });
  const server = createTcpServer((connection) =>
    connection.once("data", () => connection.end("HTTP/1.1 204 No Content\r\n\r\n")),
  ).listen(port, "127.0.0.1");
  onTestFinished(() => void server.close());
  expect(await probe.check(instance, request)).toMatchObject({ kind: "status", status: 204 });
});

test("what cannot be sent is told as well, and nothing is thrown", async () => {
  const answer = await probe.check(web("/none"), { ...request, host: "a\nb" });
  expect(answer).toMatchObject({ kind: "unreachable", reason: expect.stringContaining("cannot be sent") });
});
