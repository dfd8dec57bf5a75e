import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { DeployRequest } from "../../../agent/contracts/service.ts";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { Leases } from "../../../agent/deploy/queue/lease.ts";
import type { CutoverError } from "../../../shared/errors.ts";
import { signToken } from "../../../shared/key.ts";
import { hostName, newKey, startTestAgent } from "../../agent/http/support.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { fakeDigest } from "../../fakes/service.ts";

/** T13: a deployment's id, which is in logs and answers, renewed its lease, and so kept everybody else from deploying. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const secret = () => randomBytes(32).toString("base64url");
const never = new AbortController().signal;

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function staged(agent: Deployments, host: FakeHost, lease: Partial<DeployRequest>): Promise<string> {
  const { deployment } = await agent.deploy("shop", host.request(v1, {}, { activate: false, leaseMs: 400, ...lease }));
  expect(await agent.settled(deployment, 10_000, never)).toMatchObject({ outcome: "staged" });
  return deployment;
}

/** Asks again and again, for longer than the lease lasts. @returns whether another deployment got the app then */
async function freeAfterAsking(agent: Deployments, host: FakeHost, ask: () => Promise<unknown>): Promise<boolean> {
  for (let asked = 0; asked < 8; asked++) {
    await ask();
    await sleep(100);
  }
  const other = agent.deploy("shop", host.request(v2));
  return other.then(
    () => true,
    (thrown: CutoverError) => {
      expect(thrown.code).toBe("deployment_in_progress");
      return false;
    },
  );
}

test("T13: who has a deployment's id alone cannot renew its lease", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const id = await staged(agent, host, { leaseSecret: secret() });
  const ask = async () => {
    await agent.deployment(id);
    await agent.settled(id, 10, never);
    await agent.deployment(id, secret());
  };
  expect(await freeAfterAsking(agent, host, ask)).toBe(true);
});

test("T13: who has the lease's own secret renews it", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const leaseSecret = secret();
  const id = await staged(agent, host, { leaseSecret });
  expect(await freeAfterAsking(agent, host, () => agent.deployment(id, leaseSecret))).toBe(false);
});

test("T13: an Action of the last release, which brings no secret, goes on renewing by the id", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const id = await staged(agent, host, {});
  expect(await freeAfterAsking(agent, host, () => agent.deployment(id))).toBe(false);
});

test("T13: but not for longer than a day", () => {
  let now = 0;
  const timers = new Set<{ at: number; work: () => void }>();
  const clock = {
    now: () => now,
    elapsed: () => now,
    sleep: async () => undefined,
    after(ms: number, work: () => void) {
      const timer = { at: now + ms, work };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const freedAt = (digest?: string): number => {
    const leases = new Leases(clock);
    const began = now;
    let freed = Number.POSITIVE_INFINITY;
    const end = began + 48 * 3_600_000;
    leases.grant("shop", { deployment: "d", ms: 60_000, digest }, () => {
      freed = Math.min(freed, now - began);
    });
    for (; now < end; now += 15_000) {
      for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.work();
      leases.renew("d", undefined);
    }
    leases.close();
    return freed;
  };
  expect(freedAt()).toBe(24 * 3_600_000);
  expect(freedAt("0".repeat(64))).toBe(60_000);
});

test("T13: the secret comes with the bundle and with each question, and is in no log", async () => {
  const key = await newKey();
  const agent = await startTestAgent({ trust: [{ key: key.publicLine }] });
  try {
    const bundle = "a bundle";
    const authorization = `Bearer ${await signToken(key.signer, `cutover/v1/${hostName}/shop/deploy/${fakeDigest(bundle)}`, { sub: "ci" })}`;
    const headers = { "cutover-lease": secret() };
    const url = `${agent.url}/v1/apps/shop/releases?activate=false&lease=60`;
    const answer = await fetch(url, { method: "POST", body: bundle, headers: { ...headers, authorization } });
    expect(answer.status).toBe(202);
    const { deployment } = (await answer.json()) as { deployment: string };
    expect((await fetch(`${agent.url}/v1/deployments/${deployment}`, { headers })).status).toBe(200);
    expect((await fetch(`${agent.url}/v1/deployments/${deployment}?wait=1`, { headers })).status).toBe(200);
    const given = headers["cutover-lease"];
    expect(agent.service.leaseSecrets).toEqual([given, given, given, given]);
    expect(agent.log()).not.toContain(given);
    const wrong = await fetch(`${agent.url}/v1/deployments/${deployment}`, { headers: { "cutover-lease": "short" } });
    expect([wrong.status, (await wrong.text()).includes("request_invalid")]).toEqual([400, true]);
  } finally {
    await agent.close();
  }
});
