import { pino } from "pino";
import type { Ports } from "../../../agent/contracts/ports.ts";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import type { AppState } from "../../../agent/deploy/state.ts";
import { loadState } from "../../../agent/deploy/state-format.ts";
import type { Accepted, DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";

export const v1 = "20261121T100000Z-1111111";
export const v2 = "20261121T100100Z-2222222";
export const v3 = "20261121T100200Z-3333333";
export const never = new AbortController().signal;
export const call = { by: { subject: "test" }, waitMs: 0, signal: never };
export const sick = { kind: "status", status: 500, body: "", location: undefined } as const;
export const full = () => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });

export function agentOn(host: FakeHost, ports: Ports = host.ports): Deployments {
  return new Deployments({ ports, log: pino({ level: "silent" }) });
}

export async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, never);
}

export function stateOf(host: FakeHost): Promise<AppState> {
  return loadState(host.ports.states, "shop");
}

/** v1 is live, v2 is staged. */
export async function staged(settings: object = {}) {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1, settings)));
  const { id } = await ended(agent, agent.deploy("shop", host.request(v2, settings, { activate: false })));
  return { host, agent, id };
}
