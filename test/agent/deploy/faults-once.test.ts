import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { Ports } from "../../../agent/contracts/ports.ts";
import { AppStates } from "../../../agent/deploy/app-states.ts";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { AppLocks } from "../../../agent/deploy/queue/lock.ts";
import { WarmRetirement } from "../../../agent/deploy/retention/warm-retirement.ts";
import type { AppState } from "../../../agent/deploy/state.ts";
import { loadState } from "../../../agent/deploy/state-format.ts";
import type { Accepted, DeploymentView } from "../../../shared/protocol.ts";
import { manifestOf } from "../../fakes/deploy-request.ts";
import { FakeHost } from "../../fakes/ports.ts";

/** What the torture found: a moment's fault of the host must not leave work for the next start, which may be weeks away. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const v4 = "20261121T100300Z-4444444";
const cold = { keep_warm: "0s" };
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };
const disk = () => Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });

/** Fails what is set once, and does it from then on. */
class Once extends Map<string, Error> {
  override get(name: string): Error | undefined {
    const error = super.get(name);
    this.delete(name);
    return error;
  }
}

function hostFailingOnce(): FakeHost {
  return Object.assign(new FakeHost(), { failing: new Once() });
}

/** The host's ports, where the first saves of such a state fail. */
function saveFailing(ports: Ports, when: (state: AppState) => boolean, times = 1): Ports {
  let failed = 0;
  return {
    ...ports,
    states: {
      load: ports.states.load,
      keepCopy: ports.states.keepCopy,
      save: async (app, state) => {
        if (failed < times && when(state as AppState)) {
          failed++;
          throw disk();
        }
        await ports.states.save(app, state);
      },
    },
  };
}

async function ended(agent: Deployments, accepted: Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, new AbortController().signal);
}

function agentOn(ports: Ports): Deployments {
  return new Deployments({ ports, log: pino({ level: "silent" }) });
}

test("an undo that fails once is done at the second try", async () => {
  const host = hostFailingOnce();
  const agent = agentOn(host.ports);
  await ended(agent, agent.deploy("shop", host.request(v1, cold)));
  host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
  host.failing.set(`programs.remove ${v2}`, disk());
  const view = await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, health: { timeout: "1s" } })));
  expect(view.outcome).toBe("failed");
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: v1, journal: null });
  expect([...host.disk.programs]).toEqual([v1]);
});

test("a warm run whose retiring fails once is gone all the same, with the deployment that this fails", async () => {
  const host = hostFailingOnce();
  const agent = agentOn(host.ports);
  await ended(agent, agent.deploy("shop", host.request(v1, cold)));
  await ended(agent, agent.deploy("shop", host.request(v2, { keep_warm: "10m" })));
  host.failing.set(`programs.remove ${v1}`, disk());
  expect(await ended(agent, agent.deploy("shop", host.request(v3, cold)))).toMatchObject({ outcome: "failed" });
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: v2, warm: null, journal: null });
  expect([...host.disk.programs]).toEqual([v2]);
});

test("a deployment whose end cannot be written once is written as ended all the same", async () => {
  const host = new FakeHost();
  const agent = agentOn(saveFailing(host.ports, ({ live, journal }) => live === v1 && journal === null));
  expect(await ended(agent, agent.deploy("shop", host.request(v1, cold)))).toMatchObject({ outcome: "succeeded" });
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: v1, journal: null });
});

test("a recovery that fails once is done at the second try", async () => {
  const host = new FakeHost();
  const file = new URL("../../fixtures/journals/deploy-socket-verified.json", import.meta.url);
  const before = JSON.parse(readFileSync(file, "utf8")) as AppState;
  host.disk.state.set("shop", JSON.stringify(before));
  for (const { id, state } of before.releases) {
    if (state !== "failed" && state !== "unpacked") host.disk.releases.set(id, manifestOf(id, cold));
  }
  await agentOn(saveFailing(host.ports, ({ journal }) => journal !== null)).recoverAll();
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: before.live, journal: null, held: null });
});

test("an abort of a staged release whose journal cannot be written once is done all the same", async () => {
  const host = new FakeHost();
  const agent = agentOn(saveFailing(host.ports, ({ journal }) => journal?.deployment.outcome === "staged"));
  await ended(agent, agent.deploy("shop", host.request(v1, cold)));
  const { id } = await ended(agent, agent.deploy("shop", host.request(v2, cold, { activate: false })));
  expect(await agent.abort(id)).toMatchObject({ outcome: "aborted" });
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: v1, staged: null, journal: null });
  expect([...host.disk.programs]).toEqual([v1]);
  await ended(agent, agent.redeploy("shop", "live", call));
});

test("a prune that fails once is done at the second try, and one that fails twice is no fault of the deployment", async () => {
  const host = hostFailingOnce();
  const agent = agentOn(host.ports);
  const two = { ...cold, keep: 2 };
  for (const release of [v1, v2]) await ended(agent, agent.deploy("shop", host.request(release, two)));
  host.failing.set(`release.remove ${v1}`, disk());
  expect(await ended(agent, agent.deploy("shop", host.request(v3, two)))).toMatchObject({ outcome: "succeeded" });
  expect((await agent.app("shop")).releases.map(({ id }) => id)).toEqual([v3, v2]);

  const { releases } = host.ports;
  const failing = agentOn({ ...host.ports, releases: { ...releases, remove: async () => Promise.reject(disk()) } });
  expect(await ended(failing, failing.deploy("shop", host.request(v4, two)))).toMatchObject({ outcome: "succeeded" });
  // The next prune takes it.
  const last = agentOn(host.ports);
  await ended(last, last.redeploy("shop", "live", call));
  expect((await last.app("shop")).releases.map(({ id }) => id)).toEqual([v4, v3]);
});

test("a prune after a failed deployment that fails once is done at the second try, too", async () => {
  const host = hostFailingOnce();
  const { releases } = host.ports;
  const tries: string[] = [];
  const prune = async (app: string) => {
    tries.push(app);
    if (tries.length === 1) throw disk();
  };
  const agent = agentOn({ ...host.ports, releases: { ...releases, prune } });
  host.failing.set(`programs.start ${v1}`, disk());
  expect(await ended(agent, agent.deploy("shop", host.request(v1, cold)))).toMatchObject({ outcome: "failed" });
  expect(tries).toEqual(["shop", "shop"]);
});

test("a retire whose save fails twice is tried again until it is in the file", async () => {
  const host = new FakeHost();
  const first = agentOn(host.ports);
  const config = { keep_warm: "0s", watch: "0s" };
  await ended(first, first.deploy("shop", host.request(v1, config)));
  await first.close();
  const state = await loadState(host.ports.states, "shop");
  // Warm, and its time is over.
  const until = new Date(host.ports.clock.now()).toISOString();
  await host.ports.states.save("shop", { ...state, warm: { run: `${v1}.2`, until } });
  host.disk.programs.add(`${v1}.2`);
  const ports = saveFailing(host.ports, ({ warm }) => warm === null, 2);
  const states = new AppStates(ports);
  const locks = new AppLocks(ports.clock);
  const log = pino({ level: "silent" });
  const stateOf = (app: string) => states.of(app);
  const warm = new WarmRetirement({ ports, locks, log, stateOf, onCut: () => undefined, againMs: 1 });
  await warm.schedule("shop");
  while ((await loadState(host.ports.states, "shop")).warm !== null) await sleep(1);
  warm.close();
  expect([...host.disk.programs]).toEqual([v1]);
  expect(host.effects.filter((effect) => effect === `programs.remove ${v1}.2`)).toHaveLength(1);
});

test("killed when it was about to be staged: no link leads to what is not there", async () => {
  const host = new FakeHost();
  const agent = agentOn(host.ports);
  await ended(agent, agent.deploy("shop", host.request(v1, cold)));
  const killed = new FakeHost();
  host.onEffect = (effect) => {
    if (effect === `publish staged ${v2}`) Object.assign(killed.disk, structuredClone(host.disk));
  };
  await ended(agent, agent.deploy("shop", host.request(v2, cold, { activate: false })));
  expect(killed.disk.releases.has(v2)).toBe(true);
  killed.disk.links.staged = v2;
  await agentOn(killed.ports).recoverAll();
  expect(killed.disk.links.staged).toBeNull();
  expect([...killed.disk.releases.keys()]).toEqual([v1]);
});
