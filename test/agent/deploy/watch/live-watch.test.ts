import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { configSchema } from "../../../../shared/config.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentEvent, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };
const sick = { kind: "status", status: 500, body: "", location: undefined } as const;

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, never);
}

/** v1 is live; `breakIt` is called when v2 has the traffic. */
async function deployed(breakIt: (host: FakeHost) => void, settings: object = {}) {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1, settings)));
  host.effects.length = 0;
  host.onEffect = (effect) => {
    if (effect === `slots.swap ${v2}:60`) breakIt(host);
  };
  const view = await ended(agent, agent.deploy("shop", host.request(v2, settings)));
  return { host, agent, view };
}

function notices(host: FakeHost, id: string): string[] {
  const events: DeploymentEvent[] = host.disk.events.get(id) ?? [];
  return events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
}

test("a release is watched for 30 s unless cutover.yml says otherwise", async () => {
  expect(configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "a:b" } }).watch).toBe("30s");
  const { host, view } = await deployed(() => {});
  expect(view).toMatchObject({ outcome: "succeeded", state: "done" });
  expect(notices(host, view.id)).toContainEqual(expect.stringContaining(`${v2} is watched for 30s`));
  expect(Date.parse(view.finished ?? "") - Date.parse(view.started)).toBeGreaterThanOrEqual(30_000);
});

test("with `watch: 0s` nothing is watched", async () => {
  const { host, view } = await deployed((host) => host.answers.set(v2, sick), { watch: "0s" });
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(host.disk.slots).toBe(`${v2}:60`);
});

const full = "nothing accepted the connection within 5000 ms";

test.each<[what: string, how: (host: FakeHost) => unknown, why: string, fix?: string]>([
  ["three failed checks in a row", (host: FakeHost) => host.answers.set(v2, sick), "answered 500 to GET /, 3 times"],
  [
    "an instance that hangs",
    (host: FakeHost) => host.answers.set(v2, { kind: "unreachable", reason: "timeout" }),
    "did not answer",
  ],
  [
    "an instance whose workers are all busy",
    (host: FakeHost) => host.answers.set(v2, { kind: "unreachable", reason: full, how: "waiting" }),
    full,
    "All its workers are busy",
  ],
  ["an instance that ends", (host: FakeHost) => host.programStates.set(v2, "BACKOFF"), "web-0 is BACKOFF"],
])(
  "%s while it is watched: the traffic goes back and the deployment fails with the reason",
  async (_what, how, why, fix = "") => {
    const { host, agent, view } = await deployed(how);
    expect(view).toMatchObject({
      outcome: "failed",
      failure: {
        code: "watch_failed",
        detail: expect.stringContaining(why),
        fix: expect.stringContaining(fix),
        unchanged: expect.stringContaining(`All traffic went back to ${v1}`),
        evidence: expect.arrayContaining([{ source: "web-0", text: `log of web-0 of ${v2}` }]),
      },
    });
    expect(view.phases.map(({ state }) => state)).not.toContain("done");
    expect(host.effects.filter((effect) => !/unpack|build/.test(effect))).toEqual([
      `programs.start ${v2}`,
      `publish ${v2} after ${v1}`,
      `slots.swap ${v2}:60`,
      `publish ${v1} after ${v2}`,
      `slots.swap ${v1}:60`,
      `programs.remove ${v2}`,
    ]);
    expect([...host.disk.programs]).toEqual([v1]);
    const app = await agent.app("shop");
    expect(app).toMatchObject({ live: v1, warm: null });
    expect(app.releases.map(({ id, state }) => [id, state])).toEqual([
      [v2, "rolled_back"],
      [v1, "live"],
    ]);
    // Its files and logs stay, to be looked at; and the next deploy works.
    expect([...host.disk.releases.keys()]).toEqual([v1, v2]);
    expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
  },
);

test("an instance that was restarted while it is watched counts at once", async () => {
  const { view, host } = await deployed((host) => {
    let asked = 0;
    host.pids.get = (run) => (run === v2 && ++asked > 2 ? 900 : undefined);
  });
  expect(view.failure?.detail).toContain("web-0 was restarted");
  expect(host.disk.slots).toBe(`${v1}:60`);
});

test("fewer than three failed checks in a row are a moment's load", async () => {
  let asked = 0;
  const { view } = await deployed((host) => {
    host.answers.set(v2, sick);
    const get = host.answers.get.bind(host.answers);
    // Two instances: the first one's answer fails a check.
    host.answers.get = (run) => (run === v2 && ++asked > 2 ? undefined : get(run));
  });
  expect(view.outcome).toBe("succeeded");
});

test("a check that fails at the end of the watch is followed until it is clear", async () => {
  const { view } = await deployed((host) => {
    const start = host.ports.clock.now();
    const get = host.answers.get.bind(host.answers);
    host.answers.get = (run) => (run === v2 && host.ports.clock.now() - start >= 28_000 ? sick : get(run));
  });
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
});

test("a supervisord that does not answer is no fault of the release, and no hindrance to its way back", async () => {
  const dead = new CutoverError("supervisor_unreachable", "supervisord does not answer");
  const well = await deployed((host) => {
    host.programStates.get = () => {
      throw dead;
    };
    setTimeout(() => Reflect.deleteProperty(host.programStates, "get"), 1);
  });
  expect(well.view).toMatchObject({ outcome: "succeeded" });
  const { host, agent, view } = await deployed((host) => {
    host.answers.set(v2, sick);
    host.failing.set(`programs.remove ${v2}`, dead);
  });
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
  await agent.close();
  host.failing.clear();
  const next = agentOn(host);
  await next.recoverAll();
  expect([...host.disk.programs]).toEqual([v1]);
  expect(await next.app("shop")).toMatchObject({ live: v1, deployment: { failure: { code: "watch_failed" } } });
});

test("the old release stays warm while it is watched, also with `keep_warm: 0s`", async () => {
  const { host, view } = await deployed((host) => host.answers.set(v2, sick), { keep_warm: "0s" });
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
  expect(host.effects).not.toContain(`programs.start ${v1}`);
  expect(host.disk.slots).toBe(`${v1}:60`);
  const well = await deployed(() => {}, { keep_warm: "0s" });
  expect(well.view).toMatchObject({ outcome: "succeeded" });
  expect([...well.host.disk.programs]).toEqual([v2]);
});

test("a first deploy has nothing to go back to: it fails with the reason and keeps the traffic", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  host.onEffect = (effect) => {
    if (effect.startsWith("slots.swap")) host.answers.set(v1, sick);
  };
  const view = await ended(agent, agent.deploy("shop", host.request(v1)));
  expect(view).toMatchObject({
    outcome: "failed",
    failure: { code: "watch_failed", unchanged: expect.stringContaining("There is no release to go back to") },
  });
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect(await agent.app("shop")).toMatchObject({ live: v1 });
  host.answers.delete(v1);
  expect(await ended(agent, agent.deploy("shop", host.request(v2)))).toMatchObject({ outcome: "succeeded" });
});

test("traffic does not go back to a release that is no better", async () => {
  const { host, view } = await deployed((host) => {
    for (const run of [v1, v2]) host.answers.set(run, sick);
  });
  expect(view).toMatchObject({
    outcome: "failed",
    failure: { unchanged: expect.stringContaining(`${v1} is not well either`) },
  });
  expect(host.disk.slots).toBe(`${v2}:60`);
});

test("its processes go back with the traffic", async () => {
  const processes = { worker: { command: "celery worker" }, beat: { command: "celery beat", overlap: false } };
  const { host, view } = await deployed((host) => host.answers.set(v2, sick), { processes });
  expect(view.failure?.code).toBe("watch_failed");
  expect([...host.disk.processes.keys()].toSorted()).toEqual([`${v1} beat`, `${v1} worker`]);
});

test("what fails after a redeploy goes back to the instances before", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  host.onEffect = (effect) => {
    if (effect === `slots.swap ${v1}.2:60`) host.programStates.set(`${v1}.2`, "EXITED");
  };
  const view = await ended(agent, agent.redeploy("shop", "live", call));
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect(await agent.app("shop")).toMatchObject({ live: v1, warm: null, releases: [{ id: v1, state: "live" }] });
});

test("a rollback is not watched: it never returns to what it has left", async () => {
  const { host, agent } = await deployed(() => {});
  host.onEffect = (effect) => {
    if (effect === `slots.swap ${v1}:60`) host.answers.set(v1, sick);
  };
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  expect(host.disk.slots).toBe(`${v1}:60`);
});

test("while it is watched a deployment still runs, and cannot be aborted any more", async () => {
  const { agent, host } = await deployed(() => {});
  const moved = Promise.withResolvers<void>();
  host.onEffect = (effect) => {
    if (effect === `slots.swap ${v3}:60`) moved.resolve();
  };
  const accepted = await agent.deploy("shop", host.request(v3, { watch: "999999d" }));
  await moved.promise;
  while ((await agent.deployment(accepted.deployment)).state !== "drained") await new Promise(setImmediate);
  expect(await agent.deployment(accepted.deployment)).toMatchObject({ outcome: "running" });
  await expect(agent.abort(accepted.deployment)).rejects.toMatchObject({ code: "already_cut_over" });
  await agent.close();
});

/** The disk as it was when the agent was killed right after the named effect. */
async function killedAfter(effect: string): Promise<FakeHost> {
  const after = new FakeHost();
  let taken = false;
  await deployed((host) => {
    host.answers.set(v2, sick);
    host.onEffect = (name) => {
      if (name !== effect || taken) return;
      taken = true;
      Object.assign(after.disk, structuredClone(host.disk));
    };
    host.onEffect(`slots.swap ${v2}:60`);
  });
  expect(taken).toBe(true);
  return after;
}

test("killed while it is watched: the next start finishes forward, at once", async () => {
  const host = await killedAfter(`slots.swap ${v2}:60`);
  host.disk.slots = `${v2}:60`;
  host.answers.set(v2, sick);
  const before = host.ports.clock.now();
  const agent = agentOn(host);
  await agent.recoverAll();
  expect(host.ports.clock.now() - before).toBeLessThan(5000);
  expect(await agent.app("shop")).toMatchObject({ live: v2, deployment: { outcome: "succeeded" } });
});

test.each([`publish ${v1} after ${v2}`, `slots.swap ${v1}:60`, `programs.remove ${v2}`])(
  "killed on the way back, after %s: the next start goes on with it",
  async (effect) => {
    const host = await killedAfter(effect);
    const agent = agentOn(host);
    await agent.recoverAll();
    expect(await agent.app("shop")).toMatchObject({
      live: v1,
      warm: null,
      deployment: { outcome: "failed", failure: { code: "watch_failed" } },
    });
    expect(host.disk.slots).toBe(`${v1}:60`);
    expect([...host.disk.programs]).toEqual([v1]);
    expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
  },
);

test("a way back that nginx refuses at first is tried again", async () => {
  let refused = 0;
  const { view, host } = await deployed((host) => {
    host.answers.set(v2, sick);
    host.failing.get = (effect) =>
      effect === `slots.swap ${v1}:60` && ++refused < 3 ? new Error("nginx is busy") : undefined;
  });
  expect(refused).toBe(3);
  expect(view.failure?.code).toBe("watch_failed");
  expect(host.disk.slots).toBe(`${v1}:60`);
});
