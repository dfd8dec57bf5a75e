import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { SocketProbe } from "../../../agent/host/health.ts";
import { eventually, scratch } from "./scratch.ts";

const probe = new SocketProbe("9.9.9");
const request = { path: "/up?x=1", host: "shop.example.com", timeoutMs: 2000 };

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
  expect(await probe.check({ name: "web-0", socket }, request)).toEqual({
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
  const answer = await probe.check({ name: "web-0", socket }, request);
  expect(answer).toMatchObject({ kind: "status", status: 500, body: "x".repeat(2048) });
});

test("a body that breaks off does not hide the status", async () => {
  const socket = serve((_, response) => {
    response.writeHead(503, { "Content-Length": 100 }).write("half", () => response.destroy());
  });
  expect(await probe.check({ name: "web-0", socket }, request)).toMatchObject({ status: 503, body: "half" });
});

test("what cannot be reached has a reason", async () => {
  const dir = scratch();
  const check = (name: string, timeoutMs = 2000) =>
    probe.check({ name: "web-0", socket: join(dir, name) }, { ...request, timeoutMs });
  expect(await check("none")).toEqual({ kind: "unreachable", reason: "its socket is not there yet" });

  const silent = serve(() => undefined);
  expect(await probe.check({ name: "web-0", socket: silent }, { ...request, timeoutMs: 50 })).toEqual({
    kind: "unreachable",
    reason: "no answer within 50 ms",
  });

  for (const [name, text, reason] of [
    ["closes", "", "it closed the connection without an answer"],
    ["babbles", "SSH-2.0\r\n\r\n", "its answer is not HTTP"],
  ] as const) {
    const server = createTcpServer((connection) => connection.once("data", () => connection.end(text)));
    server.listen(join(dir, name));
    onTestFinished(() => void server.close());
    expect(await check(name)).toEqual({ kind: "unreachable", reason });
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
  const check = () => probe.check({ name: "web-0", socket }, request);
  await eventually(async () => (await check()).kind === "status");
  expect(await check()).toMatchObject({ status: 200, body: "shop.example.com https" });
});

test("a socket that a killed server left behind", async () => {
  const socket = join(scratch(), "k.sock");
  const code = `import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(${JSON.stringify(socket)}); s.listen()`;
  const python = spawn("/usr/bin/python3", ["-c", code], { stdio: "ignore" });
  await new Promise((resolve) => python.once("exit", resolve));
  expect(await probe.check({ name: "web-0", socket }, request)).toEqual({
    kind: "unreachable",
    reason: "nothing listens on its socket",
  });
});
