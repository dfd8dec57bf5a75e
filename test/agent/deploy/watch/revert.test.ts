import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const v4 = "20261121T100300Z-4444444";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };
const patient = { ...call, waitMs: 3_600_000 };
const cold = { keep_warm: "0s", watch: "0s" };
const warm = { keep_warm: "1h", watch: "0s" };
const sick = { kind: "status", status: 500, body: "", location: undefined } as const;

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, never);
}

async function hostWith(releases: string[], settings: object = cold): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  for (const release of releases) await ended(agent, agent.deploy("shop", host.request(release, settings)));
  host.effects.length = 0;
  return { host, agent };
}

async function refusal(promise: Promise<unknown>): Promise<CutoverError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CutoverError);
  return thrown as CutoverError;
}

function noticesOf(host: FakeHost, { id }: DeploymentView): string[] {
  return (host.disk.events.get(id) ?? []).flatMap((event) => (event.type === "notice" ? [event.message] : []));
}

/** A deploy of v3 that stands still until it is let go on. */
async function running(host: FakeHost, agent: Deployments) {
  host.answers.set(v3, { kind: "unreachable", reason: "starting" });
  const by = { subject: "acme/shop@main", run_url: "https://github.com/acme/shop/actions/runs/7" };
  const settings = { ...cold, health: { timeout: "999999d" } };
  return agent.deploy("shop", host.request(v3, settings, { by }));
}

describe("a rollback", () => {
  test("is relative to what is live, not to what is newest", async () => {
    const { agent } = await hostWith([v1, v2, v3]);
    await ended(agent, agent.activate("shop", v2, { ...call, weight: 100 }));
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  });

  test("goes only to good releases: not to one that failed, nor to one that its watch took back", async () => {
    const { host, agent } = await hostWith([v1]);
    host.onEffect = (effect) => {
      if (effect === `slots.swap ${v2}:60`) host.answers.set(v2, sick);
    };
    await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, watch: "30s" })));
    host.answers.set(v3, sick);
    await ended(agent, agent.deploy("shop", host.request(v3, { ...cold, health: { timeout: "1s" } })));
    await ended(agent, agent.deploy("shop", host.request(v4, cold)));
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  });

  test("does not go to a first release that failed its watch and kept the traffic, until it has been well", async () => {
    const host = new FakeHost();
    const agent = agentOn(host);
    host.onEffect = (effect) => {
      if (effect === `slots.swap ${v1}:60`) host.answers.set(v1, sick);
    };
    await ended(agent, agent.deploy("shop", host.request(v1, { ...cold, watch: "30s" })));
    await ended(agent, agent.deploy("shop", host.request(v2, cold)));
    expect((await refusal(agent.rollback("shop", call))).code).toBe("nothing_to_roll_back_to");
    host.onEffect = () => {};
    host.answers.delete(v1);
    await ended(agent, agent.redeploy("shop", v1, call));
    await ended(agent, agent.deploy("shop", host.request(v3, cold)));
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v2 });
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  });

  test("while a deploy is running is refused with the holder, or waits when it is asked to", async () => {
    const { host, agent } = await hostWith([v1, v2]);
    const deploy = await running(host, agent);
    const refused = await refusal(agent.rollback("shop", call));
    expect(refused.code).toBe("deployment_in_progress");
    expect(refused.message).toContain("acme/shop@main (https://github.com/acme/shop/actions/runs/7)");
    expect(refused.fix).toContain("--wait");
    const waiting = ended(agent, agent.rollback("shop", patient));
    host.answers.delete(v3);
    expect(await ended(agent, deploy)).toMatchObject({ outcome: "succeeded", release: v3 });
    expect(await waiting).toMatchObject({ outcome: "succeeded", release: v2 });
  });

  test("that waits while a release is watched need not wait for the end of the watch", async () => {
    const { host, agent } = await hostWith([v1]);
    const deploy = await agent.deploy("shop", host.request(v2, { ...warm, watch: "999999d" }));
    while ((await agent.deployment(deploy.deployment)).state !== "drained") await new Promise(setImmediate);
    expect(await ended(agent, agent.rollback("shop", patient))).toMatchObject({ outcome: "succeeded", release: v1 });
    expect(await agent.deployment(deploy.deployment)).toMatchObject({ outcome: "succeeded" });
  });

  test.each([
    ["whose address the host forbids by now", "listen_not_allowed", "The host does not allow shop to listen on 8080"],
    ["whose name another app has by now", "domain_taken", "shop asks for the domain a.example.com"],
  ] as const)("to a release %s is left, and the deployment ends", async (_, code, why) => {
    const { host, agent } = await hostWith([v1], { ...warm, watch: "30s" });
    host.onEffect = (effect) => {
      if (effect !== `slots.swap ${v2}:60`) return;
      host.answers.set(v2, sick);
      host.failing.set(`slots.swap ${v1}:60`, new CutoverError(code, `${why}.`));
    };
    const view = await ended(agent, agent.deploy("shop", host.request(v2, { ...warm, watch: "30s" })));
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
    expect(view.failure?.unchanged).toBe(`${v1} cannot serve any more (${why}): ${v2} keeps the traffic.`);
    expect(await agent.app("shop")).toMatchObject({ live: v2 });
    expect(host.disk.slots).toBe(`${v2}:60`);
  });

  test("does not go back once more when the watch has just done so", async () => {
    const { host, agent } = await hostWith([v1, v2]);
    const second = Promise.withResolvers<CutoverError>();
    host.onEffect = (effect) => {
      if (effect === `slots.swap ${v3}:60`) host.answers.set(v3, sick);
      if (effect === `slots.swap ${v2}:60`) second.resolve(refusal(agent.rollback("shop", patient)));
    };
    await ended(agent, agent.deploy("shop", host.request(v3, { ...cold, watch: "30s" })));
    expect((await second.promise).code).toBe("not_live");
    expect((await refusal(agent.rollback("shop", { ...call, from: v3 }))).code).toBe("not_live");
    expect((await agent.app("shop")).live).toBe(v2);
    expect(await ended(agent, agent.rollback("shop", { ...call, from: v2 }))).toMatchObject({ release: v1 });
  });

  test("twice in a row goes back twice, and a third has nowhere to go", async () => {
    const { agent, host } = await hostWith([v1, v2, v3], warm);
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v2 });
    expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
    expect((await refusal(agent.rollback("shop", call))).code).toBe("nothing_to_roll_back_to");
    expect(host.disk.slots).toBe(`${v1}:60`);
  });

  test("to a release whose environment was pruned builds it again from its wheels", async () => {
    const { host, agent } = await hostWith([v1, v2]);
    host.prunedEnvironments.add(v1);
    const view = await ended(agent, agent.rollback("shop", call));
    expect(view).toMatchObject({ outcome: "succeeded", release: v1 });
    expect(noticesOf(host, view)).toContain(
      `the environment of ${v1} was removed, or its Python changed; it is built again`,
    );
    expect(host.effects.slice(0, 2)).toEqual([`environment.build ${v1}`, `programs.start ${v1}`]);
  });

  test("whose environment cannot be built again changes nothing", async () => {
    const { host, agent } = await hostWith([v1, v2]);
    host.prunedEnvironments.add(v1);
    host.failing.set(`environment.build ${v1}`, new CutoverError("environment_failed", "no wheels"));
    const view = await ended(agent, agent.rollback("shop", call));
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "environment_failed" } });
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect([...host.disk.releases.keys()]).toEqual([v1, v2]);
  });

  test("over a release that ran its release command says that this is not undone, also after a restart", async () => {
    const { host, agent } = await hostWith([v1]);
    const release = { command: "python manage.py migrate" };
    await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, release })));
    const other = { releaseCommand: false };
    await ended(agent, agent.deploy("shop", host.request(v3, { ...cold, release }, other)));
    await agent.close();
    const next = agentOn(host);
    const none = await ended(next, next.rollback("shop", call));
    expect(noticesOf(host, none)).not.toContainEqual(expect.stringContaining("release command"));
    const over = await ended(next, next.rollback("shop", call));
    expect(over).toMatchObject({ outcome: "succeeded", release: v1 });
    expect(noticesOf(host, over)).toContain(`release ${v2} ran its release command; a rollback does not undo it`);
    const { releases } = await next.app("shop");
    expect(releases.filter(({ commanded }) => commanded).map(({ id }) => id)).toEqual([v2]);
  });
});

describe("a redeploy", () => {
  test("twice in a row is two sets of fresh instances, and the release stays live", async () => {
    const { host, agent } = await hostWith([v1], warm);
    for (const run of [`${v1}.2`, `${v1}.3`]) {
      expect(await ended(agent, agent.redeploy("shop", "live", call))).toMatchObject({ outcome: "succeeded" });
      expect(host.disk.slots).toBe(`${run}:60`);
      expect(await agent.app("shop")).toMatchObject({ live: run, releases: [{ id: v1, state: "live" }] });
    }
  });

  test("is of what is live after a rollback, not of what was deployed last", async () => {
    const { agent } = await hostWith([v1, v2]);
    await ended(agent, agent.rollback("shop", call));
    expect(await ended(agent, agent.redeploy("shop", "live", call))).toMatchObject({ release: v1 });
  });

  test("while a deploy is running is refused with the holder", async () => {
    const { host, agent } = await hostWith([v1, v2]);
    const deploy = await running(host, agent);
    expect((await refusal(agent.redeploy("shop", "live", call))).code).toBe("deployment_in_progress");
    await agent.abort(deploy.deployment);
  });
});

test("an abort twice in a row is refused the second time, and what is live goes on", async () => {
  const { host, agent } = await hostWith([v1, v2]);
  const { deployment } = await running(host, agent);
  expect(await agent.abort(deployment)).toMatchObject({ outcome: "aborted" });
  expect((await refusal(agent.abort(deployment))).code).toBe("already_cut_over");
  expect(host.disk.slots).toBe(`${v2}:60`);
});

describe("a pin", () => {
  test("keeps a release from pruning until it is taken away, also across a restart", async () => {
    const keep = { ...cold, keep: 2 };
    const { host, agent } = await hostWith([v1, v2], keep);
    expect(await agent.pin("shop", v1, true)).toMatchObject({ id: v1, pinned: true });
    await ended(agent, agent.deploy("shop", host.request(v3, keep)));
    await agent.close();
    const next = agentOn(host);
    await ended(next, next.deploy("shop", host.request(v4, keep)));
    expect([...host.disk.releases.keys()]).toEqual([v1, v3, v4]);
    expect((await next.app("shop")).releases.map(({ id, pinned }) => [id, pinned === true])).toEqual([
      [v4, false],
      [v3, false],
      [v1, true],
    ]);
    await next.pin("shop", v1, false);
    await ended(next, next.redeploy("shop", "live", call));
    expect([...host.disk.releases.keys()]).toEqual([v3, v4]);
  });

  test("works while a deploy is running, which then leaves the release alone", async () => {
    const { host, agent } = await hostWith([v1, v2], { ...cold, keep: 2 });
    const deploy = await running(host, agent);
    await agent.pin("shop", v1, true);
    host.answers.delete(v3);
    await ended(agent, deploy);
    expect(host.disk.releases.has(v1)).toBe(true);
  });

  test("of a release that is not here, or that failed, is refused", async () => {
    const { agent } = await hostWith([v1]);
    expect((await refusal(agent.pin("shop", v4, true))).code).toBe("release_not_found");
  });
});
