import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { loadState } from "../../../../agent/deploy/state-format.ts";
import { CanaryWatch } from "../../../../agent/deploy/watch/canary-watch.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };

test("a canary's watch that is asked for during close() does not begin", async () => {
  const host = new FakeHost();
  const log = pino({ level: "silent" });
  const agent = new Deployments({ ports: host.ports, log });
  await agent.settled((await agent.deploy("shop", host.request(v1))).deployment, 10_000, never);
  const stage = await agent.deploy("shop", host.request(v2, {}, { activate: false }));
  await agent.settled(stage.deployment, 10_000, never);
  const activation = await agent.activate("shop", v2, { ...call, weight: 10 });
  await agent.settled(activation.deployment, 10_000, never);
  await agent.close();

  const sleeps: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal) => {
    sleeps.push(ms);
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  };
  const ports = { ...host.ports, clock: { ...host.ports.clock, sleep } };
  const known = Promise.withResolvers<void>();
  const stateOf = async (app: string) => {
    await known.promise;
    return loadState(host.ports.states, app);
  };
  const watch = new CanaryWatch({ ports, log, stateOf, fail: async () => undefined });
  // The deployment has ended, and its state is being read, when the agent is asked to stop.
  const scheduled = watch.schedule("shop");
  watch.close();
  known.resolve();
  await scheduled;
  await watch.schedule("shop");
  expect(sleeps).toEqual([]);
});
