import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../fakes/ports.ts";

/** Somebody sets the host's clock, or a time server does: limits and durations go by a clock that only goes forward. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const cold = { keep_warm: "0s" };
const hour = 3_600_000;
const never = new AbortController().signal;

async function hostWith(release: string) {
  const host = new FakeHost();
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const { deployment } = await agent.deploy("shop", host.request(release, cold));
  await agent.settled(deployment, 10_000, never);
  return { host, agent };
}

const jumps: [string, number][] = [
  ["an hour forward", hour],
  ["an hour back", -hour],
];

test.each(jumps)("a clock that jumps %s in the middle ends no wait early and lengthens none", async (_, jump) => {
  const { host, agent } = await hostWith(v1);
  const begun = host.ports.clock.elapsed();
  host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
  host.onEffect = (effect) => {
    if (effect !== `programs.start ${v2}`) return;
    host.clockOff = jump;
    // Well after four seconds, by a limit of nine.
    void host.ports.clock.sleep(9_999).then(() => host.answers.delete(v2));
  };
  const config = { ...cold, watch: "5s", health: { timeout: "60s" } };
  const { deployment } = await agent.deploy("shop", host.request(v2, config));
  const view = await agent.settled(deployment, 10_000, never);
  expect(view).toMatchObject({ outcome: "succeeded" });
  for (const { took } of view.phases) {
    expect(took).toBeGreaterThanOrEqual(0);
    expect(took).toBeLessThan(hour / 10);
  }
  // Its health check and its watch took what they take, and the rest nothing.
  expect(host.ports.clock.elapsed() - begun).toBeLessThan(120_000);
  expect(host.ports.clock.elapsed() - begun).toBeGreaterThanOrEqual(5000);
});

test.each(jumps)("a clock that jumps %s changes nothing of how long a release is watched", async (_, jump) => {
  const { host, agent } = await hostWith(v1);
  let cutOver = 0;
  host.onEffect = (effect) => {
    if (effect === `slots.swap ${v2}:60`) cutOver = host.ports.clock.elapsed();
    if (cutOver > 0) host.clockOff = jump;
  };
  const { deployment } = await agent.deploy("shop", host.request(v2, { ...cold, watch: "30s" }));
  expect(await agent.settled(deployment, 10_000, never)).toMatchObject({ outcome: "succeeded" });
  const watched = host.ports.clock.elapsed() - cutOver;
  expect(watched).toBeGreaterThanOrEqual(30_000);
  expect(watched).toBeLessThan(60_000);
});

test("who waits for another deployment waits as long as was asked, whatever the clock does", async () => {
  const { host, agent } = await hostWith(v1);
  host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
  const first = await agent.deploy("shop", host.request(v2, { ...cold, health: { timeout: "30s" } }));
  const waiting = agent.rollback("shop", { by: { subject: "test" }, waitMs: 40_000, signal: never });
  waiting.catch(() => undefined);
  host.clockOff = hour;
  expect(await agent.settled(first.deployment, 10_000, never)).toMatchObject({ outcome: "failed" });
  // Its turn came: it is refused for what it asks, not for having waited too long.
  await expect(waiting).rejects.toMatchObject({ code: "nothing_to_roll_back_to" });
});
