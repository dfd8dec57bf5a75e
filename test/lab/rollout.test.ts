import { afterAll, beforeAll, expect, test } from "vitest";
import type { ActionResult } from "../harness/action.ts";
import type { LoadReport } from "../load/report.ts";
import { describeLab } from "./describe-lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";

/** Enough on a machine that does other things too. */
const minutes = 60_000;

/** What the job said of each host: outcome by name of the host. */
function outcomes({ outputs }: ActionResult): string[] {
  return Object.values<{ outcome: string }>(JSON.parse(outputs.result ?? "{}")).map(({ outcome }) => outcome);
}

function expectNoFailure(report: LoadReport): void {
  expect(report.failures, JSON.stringify(report.failures.slice(0, 5))).toEqual([]);
  expect(report.sent).toBe(report.ok);
  expect(report.sent).toBeGreaterThan(100);
}

describeLab("three hosts with systemd and the Debian package", () => {
  let fleet: LabFleet;
  const hosts = () => fleet.hosts as [LabHost, LabHost, LabHost];

  beforeAll(async () => {
    fleet = await LabFleet.start(3);
    const file = await fleet.package();
    await Promise.all(fleet.hosts.map((host) => fleet.install(host, file)));
    await fleet.useTokens();
    await Promise.all(fleet.hosts.map((host) => fleet.addShop(host)));
    const { exitCode, stdout } = await fleet.deploy({ version: "v1" });
    expect(exitCode, stdout).toBe(0);
  }, 5 * minutes);
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  /** Acts when so many lines of the job's log have had this text. */
  function after(count: number, text: string, act: () => Promise<void>) {
    const done = Promise.withResolvers<void>();
    let seen = 0;
    const onLine = (line: string) => {
      if (line.includes(text) && ++seen === count) act().then(done.resolve, done.reject);
    };
    return { onLine, done: done.promise };
  }

  test(
    "one workflow step without a stored key brings a release to all of them under load, and no request fails",
    async () => {
      const loads = await Promise.all(hosts().map((host) => fleet.load(host)));
      try {
        const { exitCode, stdout } = await fleet.deploy({ version: "v2" });
        expect(exitCode, stdout).toBe(0);
        expect(await fleet.versions()).toEqual(["v2", "v2", "v2"]);
      } finally {
        for (const load of loads) {
          const report = await load.stop();
          expectNoFailure(report);
          expect(report.versions.map(({ version }) => version)).toEqual(["v1", "v2"]);
        }
      }
    },
    5 * minutes,
  );

  test(
    "a host that reboots during a deploy serves one of the two releases, and the job says which",
    async () => {
      const [first, second, third] = hosts();
      const old = await fleet.versions();
      const loads = await Promise.all([first, third].map((host) => fleet.load(host)));
      const reboot = after(1, `${second.address}:7070: start the instances (`, () => second.reboot());
      const result = await fleet.deploy({ version: "v3" }, { onLine: reboot.onLine });
      await reboot.done;
      for (const load of loads) expectNoFailure(await load.stop());
      const live = await Promise.all(
        [first, second, third].map(async (host) => (await fleet.firstVisit(host)).version),
      );
      if (result.exitCode === 0) expect(live).toEqual(["v3", "v3", "v3"]);
      else expect([live, outcomes(result)]).toEqual([old, expect.not.arrayContaining(["succeeded"])]);
      const next = await fleet.deploy({ version: "v4" });
      expect(next.exitCode, next.stdout).toBe(0);
      expect(await fleet.versions()).toEqual(["v4", "v4", "v4"]);
    },
    5 * minutes,
  );

  test(
    "after a reboot with the agent disabled the site serves",
    async () => {
      const [first] = hosts();
      const { version } = await fleet.visit(first);
      await first.check("systemctl", "disable", "--now", "cutover-agent", "cutover-helper.socket");
      await first.reboot();
      expect(await fleet.firstVisit(first)).toMatchObject({ version });
      expect((await first.run("systemctl", "is-active", "cutover-agent")).stdout.trim()).toBe("inactive");
      await first.check("systemctl", "enable", "--now", "cutover-agent", "cutover-helper.socket");
    },
    5 * minutes,
  );

  test(
    "a host that is cut off between stage and activate: no host has the release in the end",
    async () => {
      const [first, second, third] = hosts();
      const old = await fleet.versions();
      const loads = await Promise.all([first, second].map((host) => fleet.load(host)));
      const cut = after(3, "health check (", () => third.cutNetwork());
      const result = await fleet.deploy({ version: "v5" }, { onLine: cut.onLine });
      await cut.done;
      for (const load of loads) expectNoFailure(await load.stop());
      expect(result.exitCode, result.stdout).toBe(1);
      // By whether the job had heard of the third host's health when the network went.
      const others = expect.stringMatching(/^(?:rolled_back|aborted)$/);
      expect(outcomes(result)).toEqual([others, others, "failed"]);
      expect(result.annotations.map(({ title }) => title)).toEqual([expect.stringContaining(third.address)]);
      await third.joinNetwork();
      expect(await fleet.versions()).toEqual(old);
      // What it has staged is replaced by the next one, which may have to wait until that is kept for nobody any more.
      const next = await fleet.deploy({ version: "v6" }, { inputs: { wait: "2m" } });
      expect(next.exitCode, next.stdout).toBe(0);
      expect(await fleet.versions()).toEqual(["v6", "v6", "v6"]);
    },
    5 * minutes,
  );
});
