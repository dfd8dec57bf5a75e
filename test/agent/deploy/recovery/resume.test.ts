import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

/** What an agent left at a safe point is taken up by the next one, whatever comes in between. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const cold = { keep_warm: "0s" };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, { deployment }: Accepted): Promise<DeploymentView> {
  return agent.settled(deployment, 10_000, new AbortController().signal);
}

async function hostWith(release: string): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, await agent.deploy("shop", host.request(release, cold)));
  return { host, agent };
}

/** Shuts the agent down in the middle of this effect. @returns what tells that it has */
function shutDownAt(host: FakeHost, agent: Deployments, effect: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  host.onEffect = (name) => {
    if (name === effect) resolve(agent.close());
  };
  return promise;
}

/** An agent whose saves do not end until `go` is called; `saved` tells that the first one is on disk. */
function slowAgent(host: FakeHost) {
  const { states, ...ports } = host.ports;
  const [saved, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const save = async (app: string, state: object) => {
    await states.save(app, state);
    saved.resolve();
    await gate.promise;
  };
  const agent = new Deployments({
    ports: { ...ports, states: { ...states, save } },
    log: pino({ level: "silent" }),
  });
  return { agent, saved: saved.promise, go: gate.resolve };
}

test("shut down again in the moment in which it is taken up: the start after that goes on", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `environment.build ${v2}`);
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  await closed;
  const hasty = slowAgent(host);
  void hasty.agent.recoverAll();
  await hasty.saved;
  const over = hasty.agent.close();
  hasty.go();
  await over;
  // The process has ended.
  const left = new FakeHost();
  Object.assign(left.disk, structuredClone(host.disk));
  const next = agentOn(left);
  await next.recoverAll();
  expect(await ended(next, accepted)).toMatchObject({ outcome: "succeeded", release: v2 });
});

/** An agent that could not take up what was left, since the disk was full. */
async function couldNotResume() {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `environment.build ${v2}`);
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  await closed;
  const { states, ...ports } = host.ports;
  const disk = { full: true };
  const save = async (app: string, state: object) => {
    if (disk.full) throw new Error("ENOSPC");
    await states.save(app, state);
  };
  const next = new Deployments({ ports: { ...ports, states: { ...states, save } }, log: pino({ level: "silent" }) });
  await next.recoverAll();
  return { next, accepted, disk };
}

test("`cutover repair` goes on with what could not be taken up, and does not undo it", async () => {
  const { next, accepted, disk } = await couldNotResume();
  const { deployment } = accepted;
  const failed = await next.repair("shop");
  expect(failed).toMatchObject({
    done: [`tried to go on with the deploy ${deployment} of ${v2}, and could not: see the agent's log`],
  });
  expect(failed.held).toContain(deployment);
  disk.full = false;
  const { done, held } = await next.repair("shop");
  expect(done).toEqual([
    `took up the deploy ${deployment} of ${v2}, which goes on now: \`cutover status shop\` shows how it ends`,
  ]);
  expect(held).toBeUndefined();
  expect(await ended(next, accepted)).toMatchObject({ outcome: "succeeded", release: v2 });
  await next.close();
});
