import { readFileSync } from "node:fs";
import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { type AppState, loadState } from "../../../agent/deploy/state.ts";
import type { Ports } from "../../../agent/ports.ts";
import type { Accepted, DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";

/** What the torture found: a moment's fault of the host must not leave work for the next start, which may be weeks away. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
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

/** The host's ports, where the first save of such a state fails. */
function saveFailing(ports: Ports, when: (state: AppState) => boolean): Ports {
  let failed = false;
  return {
    ...ports,
    states: {
      load: ports.states.load,
      keepCopy: ports.states.keepCopy,
      save: async (app, state) => {
        if (!failed && when(state as AppState)) {
          failed = true;
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
    if (state !== "failed" && state !== "unpacked") host.disk.releases.set(id, host.manifest(id, cold));
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
