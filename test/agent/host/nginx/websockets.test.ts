import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ask, backend, saying, seen, siteHost, uwsgiBackend } from "./site-host.ts";

/** Asks for a WebSocket and says something over it. @returns all that came back until it did */
async function shake(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping");
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.endsWith("ping") || text.endsWith("v1")) break;
  }
  return text;
}

test("upgrade: a WebSocket gets through, and only then; other connections end with their answer", async () => {
  const host = await siteHost();
  const instance = await backend(saying("v1"));
  instance.server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  await host.serve({ site: { upgrade: true } }, [instance]);
  expect(await shake(host.port)).toMatch(/^HTTP\/1.1 101 [\s\S]*ping$/);
  expect(seen(await ask(host.port))).toMatchObject({ connection: "close" });
  await host.serve({ site: {} }, [instance]);
  expect(await shake(host.port)).toMatch(/^HTTP\/1.1 200 /);
});

test("a WebSocket gets through to an instance that speaks uwsgi, too", async () => {
  const host = await siteHost();
  const instance = await uwsgiBackend({ upgrade: true });
  await host.serve({ server: { kind: "uwsgi", app: "shop:app" }, site: { upgrade: true } }, [instance]);
  expect(await shake(host.port)).toMatch(/^HTTP\/1.1 101 [\s\S]*ping$/);
});
