import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { fillBytes, fillFiles, mayMount } from "./bad-disk.ts";
import { BadHost, watchSite } from "./bad-host.ts";
import { expectFailedHost } from "./bad-result.ts";
import { versionSeen } from "./host-snapshot.ts";

let host: BadHost;
afterAll(() => host?.[Symbol.asyncDispose]());

const unchanged = /the live release goes on serving/i;

async function expectDiskFull(project: string, says: (string | RegExp)[]): Promise<void> {
  const result = await host.unchangedBy(() => host.run(project));
  expectFailedHost(result, host.name, { code: "disk_full", says });
}

async function expectDeploys(version: string): Promise<void> {
  const { exitCode, stdout } = await host.run(await host.project({ version }));
  expect(exitCode, stdout).toBe(0);
  expect(await versionSeen(host.site)).toContain(` ${version} `);
}

// The host's own disk cannot be filled, so where nothing can be mounted only the reserve is tried.
if (mayMount()) {
  describe("a full disk refuses a deploy, and the site serves on", () => {
    beforeAll(async () => {
      host = await BadHost.start({
        name: "disk",
        disk: { bytes: 16 * 1024 * 1024, files: 1500 },
        settings: { limits: { free: 1024 * 1024 } },
      });
    });
    const data = () => embeddedLayout(host.agent.directory).data;

    it("that is larger than what is free, before anything is written", async () => {
      const project = await host.project({ version: "v2" });
      writeFileSync(join(project, "catalogue.bin"), randomBytes(15 * 1024 * 1024));
      await expectDiskFull(project, [
        /The release needs 16\.\d MB with the reserve; 1\d.* are free, and no older release can be removed/,
        unchanged,
        "cutover releases shop",
        "limits.free",
      ]);
      // Found out before the upload: the agent has read nothing of it.
      const { releases } = await host.agent.appView();
      expect(releases.map(({ state }) => state)).toEqual(["live"]);
    });

    it("where the files run out while it is unpacked", async () => {
      const project = await host.project({ version: "v2" });
      mkdirSync(join(project, "pages"));
      for (let page = 0; page < 200; page++) writeFileSync(join(project, "pages", `${page}.txt`), `page ${page}\n`);
      using _ = fillFiles(data(), 100);
      await expectDiskFull(project, ["The disk is full", "Free disk space on the host"]);
    });

    it("where not a byte is free, and the next one works when there is room again", async () => {
      const project = await host.project({ version: "v2" });
      {
        using _ = fillBytes(data());
        await expectDiskFull(project, [/disk/]);
        await expectDiskFull(project, [/disk/]);
        const [{ requests }] = JSON.parse((await host.agent.cutover("top", "--json")).stdout);
        expect(requests.gap).toMatch(/^the disk was full|not to their end$/);
      }
      await expectDeploys("v3");
    });

    it("but older releases that make enough room go first, and every visitor is served", async () => {
      const watch = watchSite(host.site);
      const names = ["v4", "v5", "v6", "v7", "v8"];
      for (const version of names) {
        const project = await host.project({ version, config: { keep: 3 } });
        writeFileSync(join(project, "catalogue.bin"), randomBytes(4 * 1024 * 1024));
        const { exitCode, stdout } = await host.run(project);
        expect(exitCode, stdout).toBe(0);
        if (version === "v8") expect(stdout).toMatch(/older releases were removed to make room: \d.* MB/);
      }
      await watch.stop();
      // Each answer is a release's, one after the other, and none is a failure.
      expect(watch.seen().every((seen) => seen.startsWith("200 v"))).toBe(true);
      const { releases, previous } = await host.agent.appView();
      expect(releases.filter(({ state }) => state === "live" || state === "good")).toHaveLength(3);
      expect(previous).not.toBeNull();
    }, 120_000);
  });
} else {
  describe("a full disk refuses a deploy, and the site serves on", () => {
    beforeAll(async () => {
      host = await BadHost.start({ name: "disk" });
    });

    it("that would leave less than the reserve, before anything is written", async () => {
      await host.changeSettings({ limits: { free: Number.MAX_SAFE_INTEGER } });
      await expectDiskFull(await host.project({ version: "v2" }), ["with the reserve", unchanged, "limits.free"]);
    });
  });
}
