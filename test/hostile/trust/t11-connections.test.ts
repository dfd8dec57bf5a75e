import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterEach, expect, test, vi } from "vitest";
import { startServer } from "../../../agent/http/server.ts";
import { signToken } from "../../../shared/key.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestAgentOptions } from "../../agent/http/support.ts";
import { makeCertificate } from "../../harness/certificate.ts";
import { Scratch } from "../../harness/scratch.ts";

/** T11: four addresses held all 512 connections without a token, by `GET /healthz` with a body that never ended. */

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** Loopback addresses count, as those of other hosts do. */
const limits = { connections: 8, connections_per_address: 2, keyOf: (remote: string | undefined) => remote };
const times = { lingerMs: 100, headersMs: 500, unprovenMs: 1500 };
const addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

async function start(
  options: TestAgentOptions = {},
): Promise<{ agent: TestAgent; token: (call: string) => Promise<string> }> {
  const key = await newKey();
  const agent = await startTestAgent({ trust: [{ key: key.publicLine }], times, connections: limits, ...options });
  open.push(agent);
  const token = async (call: string) =>
    `Authorization: Bearer ${await signToken(key.signer, `cutover/v1/${hostName}/shop/${call}`, { sub: "ci" })}`;
  return { agent, token };
}

interface Slow {
  socket: Socket;
  text(): string;
  /** Resolves with the milliseconds for which it was open. */
  closed: Promise<number>;
}

/** Sends the text, and from then on one more piece every 50 ms. */
async function slow(agent: TestAgent, localAddress: string, text: string, piece: string): Promise<Slow> {
  const socket = connect({ port: agent.server.port, host: "127.0.0.1", localAddress });
  let received = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    received += chunk;
  });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const began = performance.now();
  socket.write(text);
  const timer = setInterval(() => socket.writable && socket.write(piece), 50);
  const close = () => {
    clearInterval(timer);
    socket.destroy();
  };
  open.push({ close });
  // Not with `once`, which rejects when the connection is reset.
  const closed = new Promise<number>((resolve) => socket.once("close", () => resolve(performance.now() - began)));
  return { socket, text: () => received, closed };
}

async function answerTo(agent: TestAgent, lines: string[], localAddress = "127.0.0.9"): Promise<string> {
  const { text, closed } = await slow(
    agent,
    localAddress,
    `${[...lines, `Host: ${hostName}`].join("\r\n")}\r\n\r\n`,
    "",
  );
  await vi.waitUntil(() => text().includes("\r\n\r\n") || Promise.race([closed.then(() => true), sleep(10, false)]));
  return text();
}

const host = `Host: ${hostName}`;
const holders: [what: string, text: string, piece: string][] = [
  ["a GET with a Content-Length", `GET /healthz HTTP/1.1\r\n${host}\r\nContent-Length: 100000\r\n\r\n`, "x"],
  ["a chunked GET", `GET /healthz HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n`, "1\r\nx\r\n"],
  ["a HEAD with a body", `HEAD /healthz HTTP/1.1\r\n${host}\r\nContent-Length: 100000\r\n\r\n`, "x"],
  ["an OPTIONS with a body", `OPTIONS /healthz HTTP/1.1\r\n${host}\r\nContent-Length: 100000\r\n\r\n`, "x"],
  ["a path that does not exist", `POST /nowhere HTTP/1.1\r\n${host}\r\nContent-Length: 100000\r\n\r\n`, "x"],
  [
    "an upload without a token",
    `POST /v1/apps/shop/releases HTTP/1.1\r\n${host}\r\nContent-Length: 100000\r\n\r\n`,
    "x",
  ],
  [
    "a chunked upload that asks first",
    `POST /v1/apps/shop/releases HTTP/1.1\r\n${host}\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "1\r\nx\r\n",
  ],
  [
    "a GET that asks first",
    `GET /healthz HTTP/1.1\r\n${host}\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n`,
    "x",
  ],
  ["headers without end", `GET /healthz HTTP/1.1\r\n${host}\r\n`, "X-Header: x\r\n"],
  ["one header without end", `GET /healthz HTTP/1.1\r\n${host}\r\nX-Header: `, "x"],
  ["a request line without end", "GET /", "x"],
  ["nothing at all", "", ""],
  [
    "one small call after the other",
    `GET /healthz HTTP/1.1\r\n${host}\r\n\r\n`,
    `GET /healthz HTTP/1.1\r\n${host}\r\n\r\n`,
  ],
  ["a wrong token again and again", "", `GET /v1/apps/shop HTTP/1.1\r\n${host}\r\n\r\n`],
];

test.each(holders)("T11: %s does not hold a connection", async (_what, text, piece) => {
  const { agent } = await start();
  const { closed } = await slow(agent, "127.0.0.1", text, piece);
  const openMs = await Promise.race([closed, sleep(10_000, Number.POSITIVE_INFINITY)]);
  expect(openMs).toBeLessThan(10_000);
});

test("T11: four addresses that hold all connections keep nobody out who has a token", async () => {
  const { agent, token } = await start({ times: { ...times, unprovenMs: 60_000, headersMs: 60_000 } });
  const [, text = "", piece = ""] = holders.find(([what]) => what === "headers without end") ?? [];
  for (const address of [...addresses, ...addresses]) await slow(agent, address, text, piece);
  const answers = [];
  for (let count = 0; count < 10; count++) {
    answers.push(await answerTo(agent, ["GET /v1/apps/shop HTTP/1.1", "Connection: close", await token("read")]));
    // The attacker comes back at once.
    await slow(agent, addresses[count % addresses.length] ?? "", text, piece);
  }
  expect(answers.map((answer) => answer.split("\r\n")[0])).toEqual(answers.map(() => "HTTP/1.1 200 OK"));
});

test("a GET that brings a body is refused at once, and says why", async () => {
  const { agent } = await start();
  const answer = await slow(
    agent,
    "127.0.0.1",
    `GET /healthz HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\n\r\nhello`,
    "",
  );
  await answer.closed;
  expect(answer.text()).toMatch(/^HTTP\/1.1 400 /);
  expect(answer.text()).toContain('"code":"request_invalid"');
  expect(answer.text().toLowerCase()).toContain("connection: close");
});

test("who has a token, or knows a deployment, keeps the connection when others need one", async () => {
  const { agent, token } = await start();
  const { deployment } = agent.service.begin("shop", "deploy", "20261121T103000Z-3f2c1ab");
  const path = `/v1/deployments/${deployment}`;
  const followers = [
    await slow(agent, "127.0.0.5", `GET ${path}/events HTTP/1.1\r\n${host}\r\n\r\n`, ""),
    await slow(agent, "127.0.0.6", `GET ${path}?wait=60 HTTP/1.1\r\n${host}\r\n\r\n`, ""),
    await slow(
      agent,
      "127.0.0.7",
      `POST /v1/apps/shop/releases HTTP/1.1\r\n${host}\r\nContent-Length: 300000\r\n${await token(`deploy/sha256:${"a".repeat(64)}`)}\r\n\r\n`,
      "x".repeat(4096),
    ),
  ];
  await vi.waitUntil(() => followers[0]?.text().includes("200 OK") && agent.service.calls.length === 1);
  const ended = Promise.race(followers.map(({ closed }) => closed));
  for (const address of [...addresses, ...addresses, ...addresses]) await slow(agent, address, "GET /", "x");
  // Longer than a connection may stay whose caller has proven nothing.
  expect(await Promise.race([ended, sleep(2 * times.unprovenMs, "open")])).toBe("open");
});

test("with TLS, too, a connection on which nothing is proven ends, and one of a deployment's follower stays", async () => {
  const { agent } = await start();
  const scratch = new Scratch("t11");
  open.push({ close: () => scratch[Symbol.asyncDispose]() });
  const tls = await makeCertificate(scratch.path, "web");
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app: agent.app, tls, times, connections: limits });
  open.push(server);
  const call = async (path: string) => {
    const socket = connectTls({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false });
    open.push({ close: () => socket.destroy() });
    await once(socket, "secureConnect");
    socket.write(`GET ${path} HTTP/1.1\r\n${host}\r\n\r\n`);
    const timer = setInterval(
      () => socket.writable && path === "/healthz" && socket.write(`GET ${path} HTTP/1.1\r\n${host}\r\n\r\n`),
      100,
    );
    socket.on("error", () => undefined).resume();
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(timer);
  };
  const { deployment } = agent.service.begin("shop", "deploy", "20261121T103000Z-3f2c1ab");
  await call("/healthz");
  const follower = call(`/v1/deployments/${deployment}/events`);
  expect(await Promise.race([follower.then(() => "closed"), sleep(2 * times.unprovenMs, "open")])).toBe("open");
});
