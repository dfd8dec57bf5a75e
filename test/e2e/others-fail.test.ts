import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { processStatus } from "../../agent/host/exec/processes.ts";
import { processesOf } from "../../agent/host/supervisor/leftovers.ts";
import { type DeploymentView, type Failure, problem } from "../../shared/protocol.ts";
import type { ShopOptions } from "../fixtures/shop.ts";
import { deployProject } from "../harness/deploy.ts";
import { processId, waitForEnd } from "../harness/processes.ts";
import { startLoadProcess } from "../load/process.ts";
import { BadHost, pidIn, watchSite } from "./bad-host.ts";
import { exhaust } from "./exhaust.ts";
import { versionSeen } from "./host-snapshot.ts";

/** What visitors see, what a running deploy does, and what is said, when nginx, supervisord or an instance fails. */
let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "others" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

const layout = () => embeddedLayout(host.agent.directory);
const shared = (name: string) => join(layout().data, "apps/shop/shared", name);

/** Deploys over the admin socket. @returns how it ended, or why it was refused at once */
async function deploy(options: ShopOptions): Promise<DeploymentView | { outcome: "refused"; failure: Failure }> {
  try {
    return await deployProject(host.agent, await host.project(options));
  } catch (thrown) {
    const [, json = ""] = /^POST \S+: \d+ (.*)$/s.exec((thrown as Error).message) ?? [];
    if (json === "") throw thrown;
    return { outcome: "refused", failure: problem.parse(JSON.parse(json)) };
  }
}

/** A deploy that is in its health check until `ready` is there. */
async function inHealthCheck(version: string): Promise<{ ended: ReturnType<typeof deploy>; ready(): Promise<void> }> {
  await rm(shared("ready"), { force: true });
  const ended = deploy({ version, fault: "answers-500-until-ready" });
  ended.catch(() => undefined);
  const begun = async () => {
    const { deployment } = await host.agent.appView();
    return deployment?.outcome === "running" && deployment.state === "started";
  };
  while (!(await begun())) await sleep(50);
  return { ended, ready: () => writeFile(shared("ready"), "") };
}

async function served(version: string): Promise<void> {
  const seen = () => versionSeen(host.site).catch(String);
  await expect.poll(seen, { timeout: 40_000 }).toMatch(new RegExp(`^200 ${version} `));
}

/** Until each live instance is a process that supervisord has started, and not one that outlived the supervisord before. */
async function supervised(): Promise<void> {
  const supervisord = await pidIn(layout().supervisor.pidFile);
  const deadline = performance.now() + 40_000;
  let parents: number[] = [];
  while (parents.length < 2 && performance.now() < deadline) {
    await sleep(100);
    const { live } = await host.agent.appView();
    const marks = { shared: join(layout().data, "apps/shop/shared"), run: live ?? "" };
    const ofInstance = (instance: string) => Promise.all(processesOf({ ...marks, instance }).map(processStatus));
    const found = await Promise.all(["web-0", "web-1"].map(ofInstance));
    parents = found.flatMap((statuses) => statuses.find((status) => status?.parent === supervisord)?.parent ?? []);
  }
  expect(parents).toEqual([supervisord, supervisord]);
}

/** As systemd would start again what has ended; here the agent's embedded mode does. */
async function startAgain(): Promise<void> {
  await host.agent.kill();
  await host.agent.start();
}

describe("supervisord", () => {
  it("restarted in the middle of a deploy: its programs come back by themselves, the deploy is undone, the next one works", async () => {
    const { ended } = await inHealthCheck("v2");
    host.agent.scratch.remember();
    process.kill(await pidIn(layout().supervisor.pidFile), "SIGHUP");
    const view = await ended;
    expect(view.outcome).toBe("failed");
    expect(["instance_died", "supervisor_unreachable"]).toContain(view.failure?.code);
    expect(view.failure?.unchanged).toMatch(/live release goes on serving|programs .* were not changed/);
    await served("v1");
    expect(await deploy({ version: "v2" })).toMatchObject({ outcome: "succeeded" });
    expect(await host.agent.appView()).toMatchObject({ staged: null, warm: null });
    await served("v2");
  });

  it("dead: visitors are served all the same, and a deploy is refused before anything is unpacked", async () => {
    const { pidFile } = layout().supervisor;
    host.agent.scratch.remember();
    const supervisord = processId(await pidIn(pidFile));
    process.kill(await pidIn(pidFile), "SIGKILL");
    await waitForEnd(supervisord === undefined ? [] : [supervisord], 5000);
    const visitors = watchSite(host.site);
    const releases = await readdir(join(layout().data, "apps/shop/releases"));
    const { outcome, failure } = await deploy({ version: "v3", config: { release: { command: "touch ../ran" } } });
    expect(outcome).toBe("refused");
    expect(failure).toMatchObject({
      code: "supervisor_unreachable",
      detail: expect.stringContaining("supervisord is not running"),
      unchanged: expect.stringContaining("were not changed"),
      fix: expect.stringContaining("Start supervisord"),
    });
    expect(await readdir(join(layout().data, "apps/shop/releases"))).toEqual(releases);
    expect(await host.agent.appView()).toMatchObject({
      live: expect.any(String),
      problem: expect.stringContaining("supervisord is not running"),
      instances: [{ state: "UNKNOWN" }, { state: "UNKNOWN" }],
    });
    expect((await host.agent.cutover("releases", "shop")).code).toBe(0);
    const removal = await host.agent.cutover("app", "remove", "shop", "--yes");
    expect(removal.code).not.toBe(0);
    expect(removal.stderr).toContain("supervisord is not running");
    await served("v2");
    await startAgain();
    // Its programs take the place of those that outlived the one before, one after the other.
    await supervised();
    await visitors.stop();
    expect(visitors.seen()).toHaveLength(1);
    expect(visitors.seen()[0]).toMatch(/^200 v2 /);
    expect(await host.agent.appView()).not.toHaveProperty("problem");
  });

  it("dead in the middle of a deploy: the deploy fails, visitors are served, and it is undone when supervisord is back", async () => {
    const { ended } = await inHealthCheck("v3");
    const visitors = watchSite(host.site);
    host.agent.scratch.remember();
    process.kill(await pidIn(layout().supervisor.pidFile), "SIGKILL");
    const { outcome, failure } = await ended;
    expect({ outcome, code: failure?.code }).toEqual({ outcome: "failed", code: "supervisor_unreachable" });
    await startAgain();
    await supervised();
    await visitors.stop();
    expect(visitors.seen().map((seen) => seen.slice(0, 7))).toEqual(["200 v2 "]);
    const view = await host.agent.appView();
    expect(view.held).toBeUndefined();
    expect(new Set(view.instances.map(({ run }) => run))).toEqual(new Set([view.live]));
  });

  it("dead while a release is staged: an abort says that it is not undone to the end, and the agent's next start does that", async () => {
    expect(await deployProject(host.agent, await host.project({ version: "v3" }), { activate: false })).toMatchObject({
      outcome: "staged",
    });
    host.agent.scratch.remember();
    const supervisord = processId(await pidIn(layout().supervisor.pidFile));
    process.kill(supervisord?.pid ?? 0, "SIGKILL");
    await waitForEnd(supervisord === undefined ? [] : [supervisord], 5000);
    const { code, stdout } = await host.agent.cutover("abort", "shop");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining("aborted, but not undone to the end yet"),
    });
    await served("v2");
    await startAgain();
    await supervised();
    const { live, staged, instances, deployment } = await host.agent.appView();
    expect(staged).toBeNull();
    expect(deployment?.outcome).toBe("aborted");
    expect(new Set(instances.map(({ run }) => run))).toEqual(new Set([live]));
    await served("v2");
    expect(await deploy({ version: "v2" })).toMatchObject({ outcome: "succeeded" });
  });
});

describe("nginx", () => {
  it("stopped: visitors are refused by the kernel, a deploy by the agent before anything is unpacked", async () => {
    const nginx = processId(await pidIn(layout().nginx.pidFile));
    process.kill(nginx?.pid ?? expect.fail("nginx does not run"), "SIGQUIT");
    await waitForEnd(nginx === undefined ? [] : [nginx], 10_000);
    await expect(versionSeen(host.site)).rejects.toThrow("fetch failed");
    const { outcome, failure } = await deploy({ version: "v3" });
    expect(outcome).toBe("refused");
    expect(failure).toMatchObject({
      code: "nginx_unreachable",
      detail: expect.stringContaining("nginx is not running"),
      fix: expect.stringContaining("systemctl start nginx"),
    });
    await startAgain();
    await served("v2");
  });

  it("stopped in the middle of a deploy: the deploy goes on, and visitors get the new release as soon as nginx is back", async () => {
    const { ended, ready } = await inHealthCheck("v3");
    const nginx = processId(await pidIn(layout().nginx.pidFile));
    process.kill(nginx?.pid ?? expect.fail("nginx does not run"), "SIGQUIT");
    await waitForEnd(nginx === undefined ? [] : [nginx], 10_000);
    await ready();
    expect(await ended).toMatchObject({ outcome: "succeeded" });
    await startAgain();
    await served("v3");
  });

  it("reloaded by hand in the middle of a deploy: no request fails, and the deploy goes through", async () => {
    const { ended, ready } = await inHealthCheck("v4");
    const load = await startLoadProcess({ url: host.site, rate: 50, fresh: 1, shares: { get: 0.9, post: 0.1 } });
    try {
      process.kill(await pidIn(layout().nginx.pidFile), "SIGHUP");
      await ready();
      const view = await ended;
      process.kill(await pidIn(layout().nginx.pidFile), "SIGHUP");
      expect(view).toMatchObject({ outcome: "succeeded" });
      await served("v4");
    } finally {
      await load.stop();
    }
    const { failures, versions } = await load.stop();
    expect(failures).toEqual([]);
    expect(versions.map(({ version }) => version)).toEqual(["v3", "v4"]);
  });

  it("broken by another site's file: the site serves, what needs no reload goes through, and what does is told whose file it is", async () => {
    const other = join(layout().nginx.confDir, "other.conf");
    await writeFile(other, "server { listen 127.0.0.1:1; sever_name other; }\n");
    const visitors = watchSite(host.site);
    try {
      expect(await deploy({ version: "v5" })).toMatchObject({ outcome: "succeeded" });
      const site = { listen: [`127.0.0.1:${host.port}`], gzip: false, client_max_body_size: "7m" };
      const { outcome, failure } = await deploy({ version: "v6", config: { site } });
      expect(outcome).toBe("failed");
      expect(failure).toMatchObject({
        code: "nginx_config_broken",
        detail: expect.stringContaining(`unknown directive "sever_name" in ${other}:1`),
        unchanged: expect.stringContaining("keeps its present configuration"),
        fix: expect.stringContaining(`Look at ${other}:1. This file is not the app's`),
      });
    } finally {
      await rm(other);
      await visitors.stop();
    }
    expect(visitors.seen().map((seen) => seen.slice(0, 7))).toEqual(["200 v4 ", "200 v5 "]);
  });
});

describe("an instance in a crash loop", () => {
  it("costs visitors nothing while another one is well, is seen in the status, and does not stop the next deploy", async () => {
    const { live, instances } = await host.agent.appView();
    const launch = join(layout().data, "apps/shop/launch", live ?? "", "web-1.json");
    const settings = JSON.parse(await readFile(launch, "utf8"));
    await writeFile(launch, JSON.stringify({ ...settings, argv: ["/bin/false"] }));
    const visitors = watchSite(host.site);
    process.kill(instances.find(({ name }) => name === "web-1")?.pid ?? 0, "SIGTERM");
    const stateOf = async () =>
      (await host.agent.appView()).instances.find(({ name, run }) => name === "web-1" && run === live)?.state;
    while (!["BACKOFF", "FATAL"].includes((await stateOf()) ?? "")) await sleep(50);
    expect(await deploy({ version: "v6" })).toMatchObject({ outcome: "succeeded" });
    await served("v6");
    await visitors.stop();
    expect(visitors.seen().map((seen) => seen.slice(0, 7))).toEqual(["200 v5 ", "200 v6 "]);
    expect((await host.agent.appView()).instances.map(({ state }) => state)).toEqual(["RUNNING", "RUNNING"]);
  });
});

describe("the agent's memory limit", () => {
  it("reached in the middle of an upload ends the agent alone: the site serves, nothing is left, and the next deploy works", async () => {
    const releases = await readdir(join(layout().data, "apps/shop/releases"));
    const visitors = watchSite(host.site);
    const project = await host.project({ version: "v7" });
    await writeFile(join(project, "large.bin"), randomBytes(4_000_000));
    let unpacking: string[] = [];
    async function* held(bundle: string) {
      let sent = 0;
      for await (const chunk of createReadStream(bundle)) {
        yield chunk;
        const before = sent;
        sent += chunk.length;
        if (before < 2_000_000 && sent >= 2_000_000) {
          unpacking = await readdir(join(layout().data, "apps/shop/releases"));
          await exhaust(host.agent);
        }
      }
    }
    await expect(
      deployProject(host.agent, project, { send: (bundle) => Readable.from(held(bundle)) }),
    ).rejects.toThrow();
    expect(unpacking.length).toBe(releases.length + 1);
    await host.agent.start();
    await visitors.stop();
    expect(visitors.seen()).toEqual([expect.stringMatching(/^200 v\d /)]);
    const view = await host.agent.appView();
    // Where its end takes long, the bundle is given up before it.
    const code = expect.stringMatching(/^(?:agent_stopping|bundle_truncated)$/);
    expect(view.deployment).toMatchObject({ outcome: "failed", failure: { code } });
    expect(await readdir(join(layout().data, "apps/shop/releases"))).toEqual(releases);
    expect(await deploy({ version: "v7" })).toMatchObject({ outcome: "succeeded" });
  });
});
