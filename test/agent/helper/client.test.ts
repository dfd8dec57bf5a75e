import { once } from "node:events";
import { lstatSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HelperClient } from "../../../agent/helper/client.ts";
import { serveConnection } from "../../../agent/helper/connection.ts";
import { RemoteEnvironments, RemotePrivileged, RemoteReleases } from "../../../agent/helper/remote.ts";
import { childrenOf } from "../../../agent/host/exec/processes.ts";
import { isWhole } from "../../../agent/host/python/bytecode.ts";
import { createLogger } from "../../../agent/logger.ts";
import packageJson from "../../../package.json" with { type: "json" };
import { parseManifest } from "../../../shared/manifest.ts";
import { HelperHost } from "../../harness/helper-host.ts";
import { runningWith, uniqueNap } from "../../harness/processes.ts";
import { idsOf, users } from "../../harness/two-processes.ts";
import { release, testConfig, testSpec } from "../host/scratch.ts";

/** The agent's side of the border with the real helper behind its socket. Root may ask it too. */
const { version } = packageJson;
let host: HelperHost;
let client: HelperClient;
let privileged: RemotePrivileged;

beforeAll(async () => {
  host = await HelperHost.open();
  client = new HelperClient({ path: join(host.directory, "helper.sock"), version });
  privileged = new RemotePrivileged(client);
});
afterAll(async () => {
  client?.close();
  await host?.[Symbol.asyncDispose]();
});

const helpers = () => childrenOf(host.socket?.pid ?? -1);
const noHelper = async () => {
  for (const end = Date.now() + 10_000; (await helpers()).length > 0 && Date.now() < end; ) await sleep(20);
  expect(await helpers()).toEqual([]);
};
const config = testConfig({ python: { wheels: "none" } });
const command = (
  argv: string[],
  change: { signal?: AbortSignal; onOutput?: (source: string, line: string) => void },
) => ({
  ...{ argv, timeoutMs: 20_000, source: "release", signal: new AbortController().signal, onOutput: () => undefined },
  ...change,
});

test("directories get the owners and modes by which the agent can do its part and no more", async () => {
  await privileged.prepareHost();
  await privileged.prepareApp("shop");
  const [agent, app, nginx] = [idsOf(users.agent), idsOf(users.app), idsOf(users.nginx)];
  const layout = host.layout();
  const seen = (path: string) => {
    const { uid, gid, mode } = lstatSync(path);
    return [(mode & 0o7777).toString(8), uid, gid];
  };
  expect(seen(host.data)).toEqual(["1771", 0, agent.gid]);
  expect(seen(join(host.data, "apps"))).toEqual(["755", 0, 0]);
  expect(seen(layout.home)).toEqual(["1771", 0, agent.gid]);
  expect(seen(layout.releases)).toEqual(["1775", 0, agent.gid]);
  for (const path of [layout.run, layout.launches]) expect(seen(path)).toEqual(["711", 0, 0]);
  for (const path of [layout.venvs, layout.ports]) expect(seen(path)).toEqual(["755", 0, 0]);
  for (const path of [layout.logs, layout.allRunLogs]) expect(seen(path)).toEqual(["750", 0, agent.gid]);
  expect(seen(layout.deployments)).toEqual(["750", agent.uid, agent.gid]);
  expect(seen(layout.shared)).toEqual(["2750", app.uid, nginx.gid]);
});

test("a release stays the agent's and is opened to its app, and its commands run with their output", async () => {
  const builder = new RemoteEnvironments(client);
  await host.unpack({ release, files: { "app/shop.py": "x = 1\n" }, config: { python: { wheels: "none" } } });
  const manifest = parseManifest(readFileSync(host.layout().manifest(release)));
  const signal = new AbortController().signal;
  const build = { app: "shop", release, manifest, onOutput: () => undefined, signal };
  await privileged.shareRelease("shop", release);
  const { key, reused, cacheTag } = await builder.build(build);
  expect(reused).toBe(false);
  host.link(release, key);
  const [agent, app] = [idsOf(users.agent), idsOf(users.app)];
  const access = (path: string) => {
    const { uid, gid, mode } = lstatSync(path);
    return [uid, gid, (mode & 0o7777).toString(8)];
  };
  expect(access(host.layout().release(release))).toEqual([agent.uid, agent.gid, "755"]);
  expect(access(host.layout().app(release))).toEqual([agent.uid, app.gid, "750"]);
  expect(lstatSync(host.layout().venv(key)).uid).toBe(0);
  expect([await builder.present("shop", release), await builder.build(build)]).toEqual([
    true,
    { key, reused: true, cacheTag },
  ]);
  const paths = ["app/shop.py", "app/missing.py"];
  const [bytecode, none] = await builder.compile({ app: "shop", release, paths, version: undefined, signal });
  expect([isWhole(bytecode ?? Buffer.alloc(0)), none]).toEqual([true, null]);

  const lines: string[] = [];
  const onOutput = (source: string, line: string) => lines.push(`${source}: ${line}`);
  // Reversed, because the secret itself would be masked.
  const code = "import os, sys; print(os.getcwd(), os.getuid(), os.environ['SECRET'][::-1]); sys.exit(3)";
  expect(await privileged.runCommand(testSpec(config), command(["python", "-c", code], { onOutput }))).toBe(3);
  expect(lines).toEqual([`release: ${host.layout().app(release)} ${idsOf(users.app).uid} pohs-fo-yranac`]);
});

test("errors arrive as they were thrown, and the connection goes on", async () => {
  await expect(privileged.prepareApp("nobodys")).rejects.toMatchObject({
    code: "app_not_found",
    fix: expect.stringContaining("cutover app add"),
  });
  await expect(privileged.programs("shop", release)).rejects.toMatchObject({ code: "supervisor_unreachable" });
  const asking = testConfig({ site: { listen: [8443] } });
  await expect(privileged.checkSite("shop", asking)).rejects.toMatchObject({ code: "listen_not_allowed" });
  expect(await privileged.runs("shop")).toEqual([]);
});

test("what is aborted ends in the helper too, with all that it started", async () => {
  const [abort, nap] = [new AbortController(), uniqueNap()];
  const onOutput = () => abort.abort();
  const sleeping = command(["sh", "-c", `setsid sleep ${nap} & echo began; wait`], { signal: abort.signal, onOutput });
  await expect(privileged.runCommand(testSpec(config), sleeping)).rejects.toMatchObject({ code: "aborted" });
  expect(runningWith("sleep", nap)).toEqual([]);
});

test("a helper that is killed is an error, what it ran is ended, and the next request has another helper", async () => {
  const nap = uniqueNap();
  const onOutput = async () => {
    for (const pid of await helpers()) process.kill(pid, "SIGKILL");
  };
  const sleeping = command(["sh", "-c", `setsid sleep ${nap} & echo began; wait`], { onOutput });
  await expect(privileged.runCommand(testSpec(config), sleeping)).rejects.toMatchObject({ code: "helper_unreachable" });
  expect(await privileged.runs("shop")).toEqual([]);
  expect(runningWith("sleep", nap)).toEqual([]);
});

test("a run's release stays until the run is gone", async () => {
  const releases = new RemoteReleases({ data: host.data, limits: { bundle: 1, free: 0 } }, client);
  mkdirSync(host.layout().runDir(release));
  await expect(releases.remove("shop", release)).rejects.toMatchObject({ code: "helper_refused" });
});

test("without use the connection ends, and the helper with it", async () => {
  client.close();
  await noHelper();
  const brief = new HelperClient({ path: join(host.directory, "helper.sock"), version, idleMs: 50 });
  const asked = new RemotePrivileged(brief);
  expect(await asked.upstreamServers("shop")).toEqual({ main: [], preview: [], unread: false });
  await noHelper();
  expect(await asked.upstreamServers("shop")).toEqual({ main: [], preview: [], unread: false });
  await noHelper();
});

test("what does not end with its connection is not waited for without end", async () => {
  const [ours, theirs] = duplexPair();
  const handle = () => new Promise(() => undefined);
  const served = serveConnection(theirs, { handle, version, logger: createLogger("silent"), lastMs: 50 });
  ours.write(`${JSON.stringify({ id: 1, method: "oldWorkers", params: {} })}\n`);
  await once(ours, "data");
  ours.end();
  await served;
});

test("no helper, and one of another version, are told apart", async () => {
  const nowhere = new RemotePrivileged(new HelperClient({ path: join(host.directory, "nothing.sock"), version }));
  await expect(nowhere.oldWorkers()).rejects.toMatchObject({
    code: "helper_unreachable",
    message: expect.stringContaining("ENOENT"),
  });
  const other = new HelperClient({ path: join(host.directory, "helper.sock"), version: "0.0.0" });
  await expect(new RemotePrivileged(other).oldWorkers()).rejects.toMatchObject({
    code: "helper_unreachable",
    message: expect.stringContaining(`version ${version}`),
  });
  await noHelper();
});

test("a helper that does not start is not waited for without end", async () => {
  const path = join(host.directory, "silent.sock");
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(path);
  const waiting = new HelperClient({ path, version, startMs: 50 });
  await expect(new RemotePrivileged(waiting).oldWorkers()).rejects.toMatchObject({ code: "helper_unreachable" });
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test("an answer of another shape than the method's is not believed", async () => {
  const path = join(host.directory, "strange.sock");
  const answering = createServer((socket) => {
    socket.write(`${JSON.stringify({ helper: version })}\n`);
    socket.on("data", () => socket.write(`${JSON.stringify({ id: 1, result: "perhaps" })}\n`));
  }).listen(path);
  const asking = new HelperClient({ path, version });
  await expect(new RemotePrivileged(asking).oldWorkers()).rejects.toMatchObject({
    code: "helper_unreachable",
    message: expect.stringContaining("its answer to oldWorkers was not understood"),
  });
  asking.close();
  answering.close();
});
