import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deploymentEvent } from "../../shared/protocol.ts";
import { startLoadProcess } from "../load/process.ts";
import { BadHost } from "./bad-host.ts";
import { expectFailedHost, resultOf } from "./bad-result.ts";
import { Fleet, siteName, versionOf } from "./hosts.ts";

describe("a release that dies three seconds after it is live", () => {
  let host: BadHost;
  beforeAll(async () => {
    host = await BadHost.start({ name: "watched" });
  });
  afterAll(() => host?.[Symbol.asyncDispose]());

  /** When the named moments of the last deployment were, in milliseconds since the epoch. */
  async function moments(): Promise<{ cutOver: number; back: number }> {
    const { deployment } = await host.agent.appView();
    const answer = await fetch(`${host.agent.url}/v1/deployments/${deployment?.id}/events`);
    const events = (await answer.text()).trim().split("\n");
    const parsed = events.map((line) => deploymentEvent.parse(JSON.parse(line)));
    const cutOver = parsed.find((event) => event.type === "state" && event.state === "cut_over");
    const back = parsed.find((event) => event.type === "notice" && event.message.includes("all of the traffic again"));
    return { cutOver: Date.parse(cutOver?.at ?? ""), back: Date.parse(back?.at ?? "") };
  }

  test("goes back by itself under load; nothing fails but what it served itself, and the job shows its traceback", async () => {
    const before = await host.agent.appView();
    const project = await host.project({ version: "v2", fault: "dies-live", config: { watch: "60s" } });
    const load = await startLoadProcess({ url: host.site, host: siteName, rate: 100 });
    let report: Awaited<ReturnType<typeof load.stop>>;
    try {
      const result = await host.run(project);
      expectFailedHost(result, host.name, {
        code: "watch_failed",
        says: [/failed after the cutover: web-[01] (?:was restarted|is \w+)/, `went back to ${before.live}`],
        log: ["Traceback (most recent call last):", "RuntimeError: The licence server is gone"],
      });
    } finally {
      report = await load.stop();
    }
    const { cutOver, back } = await moments();
    // The state is told when the traffic has moved; a visitor may have been there just before.
    const begun = cutOver - 500;
    const own = (time: string) => Date.parse(time) >= begun && Date.parse(time) <= back;
    expect(report.failures.filter(({ time }) => !own(time))).toEqual([]);
    expect(report.failed).toBeLessThan(report.sent / 2);
    expect(report.versions.map(({ version }) => version)).toEqual(["v1", "v2"]);

    expect(await versionOf(host.site)).toMatchObject({ version: "v1", release: before.live });
    const view = await host.agent.appView();
    expect(view).toMatchObject({ live: before.live, warm: null, staged: null, weight: 0 });
    expect(view.instances.map(({ run, slots }) => [run, slots])).toEqual([
      [before.live, 30],
      [before.live, 30],
    ]);
    expect(view.releases.map(({ state }) => state)).toEqual(["rolled_back", "live"]);
    // The old instances were never stopped.
    expect(view.instances.map(({ pid }) => pid)).toEqual(before.instances.map(({ pid }) => pid));
  });

  test("is no hindrance to the next deploy", async () => {
    const { exitCode, stdout } = await host.run(await host.project({ version: "v3", config: { watch: "1s" } }));
    expect(exitCode, stdout).toBe(0);
    expect(stdout).toContain("is watched for 1s");
    expect((await versionOf(host.site)).version).toBe("v3");
  });
});

describe("a release that dies on one of two hosts", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    await fleet.deploy({ version: "v1" });
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  test("goes back on both: on the one by itself, on the other by the job, which does not wait for the watch", async () => {
    const [first, second] = fleet.hosts;
    if (first === undefined || second === undefined) throw new Error("no hosts");
    await fleet.checkout({ version: "v2", fault: "dies-live", config: { watch: "1h" } });
    const job = fleet.action();
    // Visitors, of whom the release dies, come to the second host alone.
    const seen = new Set<string>();
    const done = new AbortController();
    const visits = (async () => {
      while (!done.signal.aborted) {
        seen.add((await versionOf(second.site).catch(() => ({ version: "failed" }))).version);
        await sleep(50);
      }
    })();
    const result = await job.finally(() => done.abort());
    await visits;
    expect(result.exitCode, result.stdout).toBe(1);
    expect(seen).toContain("v2");
    expect(resultOf(result)).toMatchObject({
      [new URL(first.agent.url).host]: { outcome: "rolled_back" },
      [new URL(second.agent.url).host]: { outcome: "failed", error: { code: "watch_failed" } },
    });
    for (const { site, agent } of fleet.hosts) {
      expect((await versionOf(site)).version).toBe("v1");
      expect((await agent.appView()).releases.map(({ state }) => state)).toEqual(["rolled_back", "live"]);
    }
  });
});
