import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AgentClient } from "../../../agent/cli/client.ts";
import { startAdminServer } from "../../../agent/http/admin-server.ts";
import { createHttpApp } from "../../../agent/http/app.ts";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import type { RunningServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import { calls } from "../../../shared/protocol.ts";
import { FakeService } from "../../fakes/service.ts";

let directory: string;
let path: string;
const servers: RunningServer[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cutover-admin-"));
  path = join(directory, "run/agent.sock");
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  await rm(directory, { recursive: true });
});

async function start(service = new FakeService(), mode?: 0o660): Promise<RunningServer> {
  const app = createHttpApp({
    service,
    authorize: localOperator(),
    logger: createLogger("silent"),
    version: "1.2.3",
    admin: true,
  });
  const server = await startAdminServer({ path, app, ...(mode !== undefined && { mode }) });
  servers.push(server);
  return server;
}

test("local operators call without a token, and have calls of their own", async () => {
  const service = new FakeService();
  service.output.set("shop", [{ source: "web-0", text: "hello" }]);
  service.environments.set("shop", { release: "20261121T103000Z-3f2c1ab", directory: "/x", env: { A: "b" }, uid: 1 });
  await start(service);
  const client = new AgentClient(path);
  expect(await client.call(calls.apps, {})).toEqual({ apps: ["shop"] });
  expect(await client.call(calls.logs, { app: "shop" }, { query: { lines: 5 } })).toEqual({
    logs: [{ source: "web-0", text: "hello" }],
  });
  expect(await client.call(calls.environment, { app: "shop" })).toMatchObject({
    env: { A: "b" },
    uid: 1,
  });
  expect(await client.call(calls.files, { app: "shop", release: "live" })).toMatchObject({
    release: "20261121T103000Z-3f2c1ab",
  });
  await client.call(calls.removeApp, { app: "shop" });
  expect(service.calls).toContainEqual({ method: "removeApp", app: "shop" });
});

test("the socket is its owner's alone, or a group's", async () => {
  const server = await start();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  servers.length = 0;
  await server.close();
  await start(new FakeService(), 0o660);
  expect((await stat(path)).mode & 0o777).toBe(0o660);
});

test("the socket of a killed agent is replaced", async () => {
  await start().then(({ close }) => close());
  servers.length = 0;
  const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  await once(spawn(process.execPath, ["-e", script]), "exit");
  expect((await stat(path)).isSocket()).toBe(true);
  await start();
  expect(await new AgentClient(path).call(calls.apps, {})).toEqual({ apps: ["shop"] });
});

test("an agent does not take the socket of another that answers", async () => {
  await start();
  await expect(start()).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: `Another agent answers on ${path}.`,
  });
  expect(await new AgentClient(path).call(calls.apps, {})).toEqual({ apps: ["shop"] });
});

test("what is no socket is not touched", async () => {
  path = join(directory, "agent.sock");
  await writeFile(path, "precious");
  await expect(start()).rejects.toMatchObject({ code: "host_settings_invalid" });
  expect((await stat(path)).size).toBe(8);
});

test("a path that the kernel would cut is refused", async () => {
  path = join(directory, `${"x".repeat(108)}.sock`);
  await expect(start()).rejects.toMatchObject({ code: "socket_path_too_long" });
});
