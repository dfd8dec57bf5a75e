import { pino } from "pino";
import { expect } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import type { Accepted, DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";

export const v1 = "20261121T100000Z-1111111";
export const v2 = "20261121T100100Z-2222222";
export const v3 = "20261121T100200Z-3333333";
export const never = new AbortController().signal;
export const call = { by: { subject: "test" }, waitMs: 0, signal: never };

export const worker = { command: "celery -A shop worker", instances: 2, stop_timeout: "60s", stay_up: "5s" };
export const beat = { command: "celery -A shop beat", overlap: false, stop_timeout: "10s" };
export const cold = { keep_warm: "0s", processes: { worker, beat } };
export const warm = { ...cold, keep_warm: "1h" };

export function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

export async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  const { deployment } = await accepted;
  return agent.settled(deployment, 10_000, never);
}

export async function hostWith(
  releases: string[],
  settings: object = cold,
): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  for (const release of releases) {
    const view = await ended(agent, agent.deploy("shop", host.request(release, settings)));
    expect(view, JSON.stringify(view.failure)).toMatchObject({ outcome: "succeeded" });
  }
  host.effects.length = 0;
  return { host, agent };
}

/** What a person reads of a deployment. */
export async function noticesOf(agent: Deployments, deployment: string): Promise<string[]> {
  const notices: string[] = [];
  for await (const event of agent.events(deployment, 0, never)) {
    if (event.type === "notice") notices.push(event.message);
  }
  return notices;
}

/** From the first process on: what comes before is as without processes. */
export const processEffects = ({ effects }: FakeHost) =>
  effects.slice(effects.findIndex((name) => name.startsWith("process")));

/** The processes that nobody has asked to stop. */
export const running = ({ disk }: FakeHost) =>
  [...disk.processes]
    .filter(([, { asked }]) => asked === undefined)
    .map(([key]) => key)
    .toSorted();
