import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Load } from "../load/load.ts";
import { debian } from "./debian.ts";
import { labImpossible } from "./lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";

const minutes = 60_000;
const [old, next] = [debian("12"), debian("13")];

/** It takes minutes, so only when CUTOVER_LAB_UPGRADE=1 asks for it; the set-up then fetches the packages. */
const asked = process.env.CUTOVER_LAB_UPGRADE === "1" && (labImpossible(old) ?? labImpossible(next)) === undefined;

describe.skipIf(!asked)("H3 Debian 12 becomes 13 in place", () => {
  let fleet: LabFleet;
  const host = () => fleet.hosts[0] as LabHost;
  const said = async (...options: string[]) => {
    const { stdout } = await host().run("cutover", "doctor", "--check", "environments", "--json", ...options);
    return (JSON.parse(stdout) as { findings: { severity: string; what: string; fix: string }[] }).findings;
  };
  /** What the live instances are, as the host runs them. */
  const interpreters = async () => {
    const { stdout } = await host().run(
      "find",
      "/proc",
      "-maxdepth",
      "1",
      "-user",
      "shop",
      "-exec",
      "readlink",
      "{}/exe",
      ";",
    );
    return [...new Set(stdout.trim().split("\n"))];
  };

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { debian: old, upgrade: next });
    await fleet.install(host(), await fleet.package());
    await fleet.addShop(host());
    // Of the new Debian's Django, which runs on both Pythons.
    const wheels = join(fleet.lab.wheels, "../..", next.suite, "wheels");
    const { exitCode, stdout } = await fleet.deploy({ version: "v1" }, { env: { PIP_FIND_LINKS: wheels } });
    expect(exitCode, stdout).toBe(0);
  }, 8 * minutes);
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  test("doctor --upgrade says before which app depends on which Python", async () => {
    expect(await said()).toEqual([]);
    const [finding] = await said("--upgrade");
    expect(finding).toMatchObject({ severity: "warning" });
    expect(finding?.what).toContain("shop runs on /usr/bin/python3.11");
  });

  test(
    "the site serves on under load, but for the restart of supervisord and nginx by their own packages",
    async () => {
      const load = await fleet.load(host(), 10);
      const report = await during(load, upgrade);
      const [first, last] = [report.failures[0]?.at ?? 0, report.failures.at(-1)?.at ?? 0];
      const reasons = Object.entries(Object.groupBy(report.failures, ({ reason }) => reason));
      const counts = reasons.map(([reason, failed]) => `${failed?.length} ${reason}`).join(", ");
      const figures = `${report.sent} requests in ${report.elapsedMs} ms; failed from ${first} to ${last} ms: ${counts}`;
      process.stdout.write(`${figures}\n`);
      expect(await host().check("cat", "/etc/debian_version")).toMatch(/^13/);
      expect(await host().check("/usr/bin/python3", "--version")).toMatch(/^Python 3\.13/);
      // nginx and supervisord are stopped once each, while their packages are replaced.
      expect(last - first, figures).toBeLessThan(30_000);
      expect(await fleet.firstVisit(host())).toMatchObject({ version: "v1" });
      expect(await interpreters()).toContain("/usr/bin/python3.11");
    },
    20 * minutes,
  );

  async function upgrade(): Promise<void> {
    await host().check("sed", "-i", `s/\\b${old.suite}\\b/${next.suite}/`, "/etc/apt/sources.list");
    const keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"];
    await host().check("apt-get", "-y", ...keep, "dist-upgrade");
  }

  test(
    "after a reboot and autoremove it serves on the old Python, which the package's apt settings keep",
    async () => {
      await host().reboot();
      expect(await fleet.firstVisit(host())).toMatchObject({ version: "v1" });
      await host().check("apt-get", "-y", "autoremove");
      expect(await said()).toEqual([]);
      await host().reboot();
      expect(await fleet.firstVisit(host())).toMatchObject({ version: "v1" });
      expect(await interpreters()).toContain("/usr/bin/python3.11");
    },
    5 * minutes,
  );

  test(
    "when the old Python goes, what runs serves on; doctor names it, and heal builds it again from the wheels on the host",
    async () => {
      await host().check("apt-get", "-y", "purge", "python3.11-minimal", "libpython3.11-minimal");
      expect(await fleet.visit(host())).toMatchObject({ version: "v1" });
      const [finding] = await said();
      expect(finding).toMatchObject({ severity: "error", fix: expect.stringContaining("cutover heal shop") });
      // Without a reboot no visitor notices.
      const report = await during(await fleet.load(host()), async () => {
        await host().check("cutover", "heal");
      });
      expect(report.failures, JSON.stringify(report.failures.slice(0, 5))).toEqual([]);
      expect(report.ok).toBeGreaterThan(20);
      expect(await said()).toEqual([]);
      expect(await interpreters()).toContain("/usr/bin/python3.13");
      await host().reboot();
      expect(await fleet.firstVisit(host())).toMatchObject({ version: "v1" });
    },
    6 * minutes,
  );

  test(
    "an environment of an earlier agent, which leads to python3, is down after a reboot until heal builds it",
    async () => {
      // It has packages for a Python that is no more, as one that was made before the upgrade.
      const age =
        "cd /var/lib/cutover/apps/shop/venvs/*/ && mv lib/python3.13 lib/python3.11 && ln -sfn /usr/bin/python3 bin/python";
      await host().check("sh", "-c", age);
      expect((await said())[0]?.what).toContain("has packages for Python 3.11");
      await host().reboot();
      await expect(fleet.firstVisit(host())).rejects.toThrow("502");
      await host().check("cutover", "heal");
      expect(await fleet.firstVisit(host())).toMatchObject({ version: "v1" });
    },
    6 * minutes,
  );

  async function during(load: Load, act: () => Promise<void>) {
    let report: Awaited<ReturnType<Load["stop"]>> | undefined;
    try {
      await act();
    } finally {
      report = await load.stop();
    }
    return report;
  }
});
