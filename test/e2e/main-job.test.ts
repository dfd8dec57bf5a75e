import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { processRuns } from "../../agent/host/exec/processes.ts";
import { startLoadProcess } from "../load/process.ts";
import { Fleet, get, siteName, staticFilesOf, versionOf } from "./hosts.ts";

/** Nothing stays warm, so that the old instances are gone when the step is done. */
const cold = { keep_warm: "0s" } as const;

describe("a workflow step puts a Django release live, and no request fails", () => {
  let fleet: Fleet;
  const host = () => {
    const [first] = fleet.hosts;
    if (first === undefined) throw new Error("no host");
    return first;
  };

  beforeAll(async () => {
    // With wheels, a release command and several workers, as most projects have them.
    fleet = await Fleet.start(1, { shop: {} });
    await fleet.deploy({ version: "v1", config: cold });
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  test("under load, again and again", async () => {
    const { agent, site } = host();
    const load = await startLoadProcess({ url: site, host: siteName });
    try {
      for (const version of ["v2", "v3"]) {
        const before = await agent.appView();
        const oldFiles = await staticFilesOf(site);
        const { outputs, annotations, summary } = await fleet.deploy({ version, config: cold });

        expect(await versionOf(site)).toMatchObject({ version, release: outputs.release });
        const view = await agent.appView();
        expect(view).toMatchObject({ live: outputs.release, warm: null, previous: before.live });
        expect(view.instances.map(({ run, state, slots }) => [run, state, slots])).toEqual([
          [outputs.release, "RUNNING", 30],
          [outputs.release, "RUNNING", 30],
        ]);
        for (const { pid = 0 } of before.instances) expect(await processRuns(pid), `old instance ${pid}`).toBe(false);

        const newFiles = await staticFilesOf(site);
        expect(newFiles).not.toEqual(oldFiles);
        expect(newFiles.length).toBeGreaterThan(0);
        for (const path of [...oldFiles, ...newFiles]) expect((await get(site, path)).status, path).toBe(200);

        expect(annotations).toEqual([]);
        expect(outputs.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        const hostName = new URL(agent.url).host;
        expect(JSON.parse(outputs.result ?? "")[hostName]).toMatchObject({ outcome: "succeeded" });
        expect(summary).toContain("```mermaid");
        expect(summary).toContain(outputs.release);
      }
    } finally {
      const report = await load.stop();
      expect(report.failures, JSON.stringify(report.failures.slice(0, 5))).toEqual([]);
      expect(report.sent).toBe(report.ok);
      expect(report.sent).toBeGreaterThan(1000);
      expect(report.versions.map(({ version }) => version)).toEqual(["v1", "v2", "v3"]);
      for (const kind of ["get", "post", "slow", "upload"] as const) expect(report.kinds[kind].ok).toBeGreaterThan(0);
    }
  });

  test("a rollback and a redeploy from the host's command line, under load too", async () => {
    const { agent, site } = host();
    const load = await startLoadProcess({ url: site, host: siteName, rate: 100 });
    try {
      const { code, stdout } = await agent.cutover("rollback", "shop");
      expect(code, stdout).toBe(0);
      expect((await versionOf(site)).version).toBe("v2");
      const before = await versionOf(site);
      expect((await agent.cutover("redeploy", "shop")).code).toBe(0);
      const after = await versionOf(site);
      expect(after.release).toBe(before.release);
      expect(after.pid).not.toBe(before.pid);
    } finally {
      expect((await load.stop()).failures).toEqual([]);
    }
  });

  test("a release is staged, seen nowhere, activated by a second step, and rolled back by a third", async () => {
    const { agent, site } = host();
    const before = await versionOf(site);
    const staged = await fleet.deploy({ version: "v4", config: { keep_warm: "10m" } }, { command: "stage" });
    expect((await versionOf(site)).version).toBe(before.version);
    expect((await agent.appView()).staged).toBe(staged.outputs.release);

    const release = staged.outputs.release ?? "";
    expect((await fleet.action({ command: "activate", release })).exitCode).toBe(0);
    expect(await versionOf(site)).toMatchObject({ version: "v4", release });

    const warm = (await agent.appView()).instances.filter(({ run }) => run !== release).map(({ pid }) => pid);
    expect((await fleet.action({ command: "rollback" })).exitCode).toBe(0);
    expect((await versionOf(site)).version).toBe(before.version);
    const live = (await agent.appView()).instances.filter(({ slots }) => slots > 0).map(({ pid }) => pid);
    expect(live).toEqual(warm);
  });

  test("secrets of the host stand above the repository's environment, reach a command, and take effect by a redeploy", async () => {
    const { agent, site } = host();
    const value = `a "quoted" 'value' with $HOME, 100 %, # and ü`;
    await agent.writeSecrets("shop", { GREETING: value });
    expect((await fleet.action({ command: "redeploy" })).exitCode).toBe(0);
    expect((await get(site, "/env?name=GREETING")).text.trim()).toBe(value);
    const { code, stdout } = await agent.cutover(
      "exec",
      "shop",
      "--",
      "python",
      "-c",
      "import os; print(os.environ['GREETING'])",
    );
    expect([code, stdout.trim()]).toEqual([0, value]);
  });

  test("no key and no token is in the log, the summary, an output or the agent's log", async () => {
    const { agent, key } = host();
    const { stdout, summary, outputs, masked } = await fleet.deploy({ version: "v5", config: cold });
    const secrets = [...masked, ...key.privatePem.split("\n").filter((line) => line.length > 20)];
    expect(masked.filter((text) => text.startsWith("eyJ")).map((token) => String(decodeJwt(token).aud))).toEqual([
      expect.stringMatching(/\/shop\/read$/),
      expect.stringMatching(/\/shop\/deploy\/sha256:/),
      expect.stringMatching(/\/shop\/activate\//),
    ]);
    const log = stdout.replaceAll(/^::add-mask::.*$/gm, "");
    for (const secret of secrets) {
      for (const place of [log, summary, JSON.stringify(outputs), agent.log])
        expect(place.includes(secret)).toBe(false);
    }
  });

  test("killed with SIGKILL the agent is not missed, and started again it knows everything", async () => {
    const { agent, site } = host();
    const before = await agent.appView();
    await agent.kill();
    expect((await get(site, "/version")).status).toBe(200);
    await agent.start();
    expect(await agent.appView()).toMatchObject({ live: before.live, previous: before.previous });
    await fleet.deploy({ version: "v6", config: cold });
    expect((await versionOf(site)).version).toBe("v6");
  });
});
