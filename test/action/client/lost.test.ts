import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { UnsureError } from "../../../action/client/agent-errors.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import { calls } from "../../../shared/protocol.ts";
import { makeCertificate } from "../../harness/certificate.ts";
import { never, refusal, Workspace } from "../workspace.ts";

const open: Disposable[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one[Symbol.dispose]();
});

async function listen<S extends Server>(server: S): Promise<URL> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push({
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const serve = (answer: (request: IncomingMessage, response: ServerResponse) => void) => listen(createServer(answer));
const timing = { ...usualTiming, firstDelayMs: 5, lostAfterMs: 200 };
const id = "AAAAAAAAAAAAAAAAAAAAAA";
const at = "2026-11-21T10:30:00.000Z";
const view = { id, app: "shop", kind: "deploy", state: "done", outcome: "succeeded", by: { subject: "x" }, phases: [] };
const end = `${JSON.stringify({ id: 1, at, type: "end", deployment: { ...view, started: at } })}\n`;

function rollback(url: URL, from?: string) {
  const client = new AgentClient(url, { timing });
  const body = from === undefined ? {} : { from };
  const command = { call: calls.rollback, names: { app: "shop" }, body, waitMs: 0, repeatable: false, signal: never };
  return refusal(() => client.command({ ...command, token: async () => "x" }));
}

describe("A1: a quiet phase, and then one broken connection", () => {
  it("is no silent agent while heartbeats came", async () => {
    let streams = 0;
    const url = await serve((_, response) => {
      response.writeHead(200);
      if (++streams > 1) return void response.end(end);
      response.write("\n");
      const beats = setInterval(() => response.write("\n"), 50);
      setTimeout(() => {
        clearInterval(beats);
        response.destroy();
      }, 450);
    });
    const types: string[] = [];
    for await (const { type } of new AgentClient(url, { timing }).events(id, never)) types.push(type);
    expect({ types, streams }).toEqual({ types: ["end"], streams: 2 });
  });

  it("is none without heartbeats either, as long as the stream can be opened again", async () => {
    let streams = 0;
    const url = await serve((_, response) => {
      response.writeHead(200).flushHeaders();
      if (++streams > 3) return void response.end(end);
      setTimeout(() => response.destroy(), 150);
    });
    const types: string[] = [];
    for await (const { type } of new AgentClient(url, { timing }).events(id, never)) types.push(type);
    expect({ types, streams }).toEqual({ types: ["end"], streams: 4 });
  });

  it("is one if nothing answers any more", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200).write("\n");
      setTimeout(() => {
        server.close();
        server.closeAllConnections();
      }, 50);
    });
    const url = await listen(server);
    const events = new AgentClient(url, { timing }).events(id, never);
    expect((await refusal(() => events.next())).message).toContain("stopped answering during the deployment");
  });
});

describe("A2: a proxy that is silent", () => {
  it.each(["https", "http"])("does not keep an aborted call to %s", async (scheme) => {
    const proxy = await listen(createTcpServer(() => undefined));
    const name = `${scheme}_proxy`;
    process.env[name] = proxy.href;
    open.push({ [Symbol.dispose]: () => void delete process.env[name] });
    const stop = new AbortController();
    const reason = new Error("stopped");
    setTimeout(() => stop.abort(reason), 100);
    const check = new AgentClient(new URL(`${scheme}://web1.example.com:7070`)).check(stop.signal);
    await expect(check).rejects.toBe(reason);
  });
});

describe("A6: a call whose answer is lost", () => {
  it("does not say that nothing was changed", async () => {
    const url = await serve((request) => request.socket.destroy());
    const error = await rollback(url);
    expect(error).toBeInstanceOf(UnsureError);
    expect(error.unchanged).toMatch(/^It is not known whether the agent got this call/);
    expect(error.fix).toContain("cutover status");
  });

  it("does not say so either when a proxy answers for the agent", async () => {
    const error = await rollback(await serve((_, response) => response.writeHead(504).end("<html>")));
    expect(error.unchanged).toMatch(/^It is not known/);
  });

  it("does not say so when only the last attempt found nobody", async () => {
    const server = createServer((request) => {
      request.socket.destroy();
      server.close();
    });
    const client = new AgentClient(await listen(server), { timing });
    const activate = { call: calls.activate, names: { app: "shop", release: "20261121T103000Z-3f2c1ab" }, body: {} };
    const command = { ...activate, waitMs: 0, repeatable: true, signal: never, token: async () => "x" };
    const error = await refusal(() => client.command(command));
    expect(error.message).toContain("ECONNREFUSED");
    expect(error.unchanged).toMatch(/^It is not known/);
  });

  it("still says so when nothing can have arrived", async () => {
    const server = createTcpServer();
    const url = await listen(server);
    open.pop()?.[Symbol.dispose]();
    expect((await rollback(url)).unchanged).toBe("Nothing was changed on this host by this call.");
  });
});

describe("A24: http:// to an agent with TLS", () => {
  it("is told at once, with the address that is right", async () => {
    using space = new Workspace();
    const { key, certificate } = await makeCertificate(space.path, "agent");
    const url = await listen(createTlsServer({ key, cert: certificate }));
    const begun = performance.now();
    const error = await refusal(() => new AgentClient(url).check(never));
    expect(error).toMatchObject({
      code: "agent_incompatible",
      message: expect.stringContaining("wants TLS"),
    });
    expect(error.fix).toContain(`https://${url.host}`);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});
