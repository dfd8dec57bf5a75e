import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { ObservedEvents } from "../../../../agent/observe/observed-events.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };
const warm = { keep_warm: "1h", watch: "0s" };

function agentOn(host: FakeHost, log = pino({ level: "silent" })): Deployments {
  return new Deployments({ ports: host.ports, log });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, never);
}

async function refusal(promise: Promise<unknown>): Promise<CutoverError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CutoverError);
  return thrown as CutoverError;
}

/** v1 and v2 were deployed, and the agent is gone. */
async function left(): Promise<FakeHost> {
  const host = new FakeHost();
  const agent = agentOn(host);
  for (const release of [v1, v2]) await ended(agent, agent.deploy("shop", host.request(release, warm)));
  await agent.close();
  host.effects.length = 0;
  return host;
}

/** The deploy of v3 failed, and so did its undo. */
async function stuck(): Promise<FakeHost> {
  const host = await left();
  const agent = agentOn(host);
  host.failing.set(`programs.remove ${v3}`, new Error("supervisord is down"));
  host.programStates.set(v3, "FATAL");
  expect(await ended(agent, agent.deploy("shop", host.request(v3, warm)))).toMatchObject({ outcome: "failed" });
  await agent.close();
  return host;
}

describe("recovery", () => {
  test("that gives up tells whoever listens for ends, as a webhook does, that the app is held", async () => {
    const host = await stuck();
    const ends: DeploymentView[] = [];
    const events = new ObservedEvents(host.ports.events);
    events.listen((_, event) => event.type === "end" && ends.push(event.deployment));
    const start = () =>
      new Deployments({ ports: { ...host.ports, events }, log: pino({ level: "silent" }) }).recoverAll();
    await start();
    await start();
    expect(ends.map(({ failure }) => failure?.code)).not.toContain("app_held");
    await start();
    expect(ends.at(-1)).toMatchObject({
      outcome: "failed",
      failure: {
        code: "app_held",
        detail: expect.stringContaining("supervisord is down"),
        fix: expect.stringContaining("cutover repair shop"),
      },
    });
  });

  test("gives up after three attempts: the app is held, and status and log say why", async () => {
    const host = await stuck();
    const lines: string[] = [];
    const log = pino({ level: "error" }, { write: (line: string) => void lines.push(line) });
    for (let start = 0; start < 3; start++) await agentOn(host, log).recoverAll();
    const agent = agentOn(host, log);
    const why = /could not be finished or undone 3 times, at last because: supervisord is down$/;
    expect((await agent.app("shop")).held).toMatch(why);
    expect(lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === "app is held").held).toMatch(why);
    const refused = await refusal(agent.deploy("shop", host.request(v3)));
    expect(refused).toMatchObject({ code: "app_held", fix: expect.stringContaining("cutover repair shop") });
    expect(refused.message).toContain("supervisord is down");
    // Meanwhile the site serves, and its rollback is refused likewise.
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect((await refusal(agent.rollback("shop", call))).code).toBe("app_held");
  });

  test("that has not succeeded yet keeps its journal: another deployment does not write over it", async () => {
    const host = await stuck();
    const agent = agentOn(host);
    const refused = await refusal(agent.deploy("shop", host.request(v3, warm)));
    expect(refused).toMatchObject({ code: "app_held", message: expect.stringContaining("supervisord is down") });
    expect(JSON.parse(host.disk.state.get("shop") ?? "").journal.run).toBe(v3);
    host.failing.clear();
    host.programStates.clear();
    expect(await ended(agent, agent.deploy("shop", host.request(v3, warm)))).toMatchObject({ outcome: "succeeded" });
  });
});

describe("`cutover repair`", () => {
  test("tries again at once what is held, and says what came of it", async () => {
    const host = await stuck();
    for (let start = 0; start < 3; start++) await agentOn(host).recoverAll();
    const agent = agentOn(host);
    const failed = await agent.repair("shop");
    // Only starts count.
    expect(failed.held).toContain("3 times");
    expect(failed.done).toEqual([expect.stringMatching(/tried again, and could not .*: supervisord is down$/)]);
    host.failing.clear();
    const repaired = await agent.repair("shop");
    expect(repaired).toMatchObject({ app: "shop", done: [expect.stringMatching(/^ended the deploy .* as failed/)] });
    expect(repaired.held).toBeUndefined();
    expect([...host.disk.programs]).toEqual([v2]);
    host.programStates.clear();
    expect(await ended(agent, agent.deploy("shop", host.request(v3, warm)))).toMatchObject({ outcome: "succeeded" });
  });

  test("of an app that is well changes nothing", async () => {
    const host = await left();
    const before = host.disk.state.get("shop");
    const { done, held } = await agentOn(host).repair("shop");
    expect([done.length, held]).toEqual([1, undefined]);
    expect(host.effects).toEqual([]);
    expect(host.disk.state.get("shop")).toBe(before);
  });

  test("during a deployment is refused with the holder", async () => {
    const host = await left();
    const agent = agentOn(host);
    host.answers.set(v3, { kind: "unreachable", reason: "starting" });
    const { deployment } = await agent.deploy("shop", host.request(v3, { health: { timeout: "999999d" } }));
    expect((await refusal(agent.repair("shop"))).code).toBe("deployment_in_progress");
    await agent.abort(deployment);
  });

  const broken = { torn: '{"format": 1, "app": "sh', empty: "", newer: '{"format": 2}', gone: undefined };
  for (const [how, text] of Object.entries(broken)) {
    test(`makes a state that is ${how} anew; until then the app serves, says so, and takes no deployments`, async () => {
      const host = await left();
      if (text === undefined) host.disk.state.delete("shop");
      else host.disk.state.set("shop", text);
      const agent = agentOn(host);
      await agent.recoverAll();
      expect(host.effects).toEqual([]);
      expect(host.disk.slots).toBe(`${v2}:60`);
      const view = await agent.app("shop");
      expect(view).toMatchObject({ live: v2, held: expect.stringMatching(/cannot be read|is gone/) });
      expect((await refusal(agent.deploy("shop", host.request(v3)))).code).toBe("state_unreadable");
      expect((await refusal(agent.rollback("shop", call))).code).toBe("state_unreadable");
      expect(host.disk.state.get("shop")).toBe(text);

      const { done, held } = await agent.repair("shop");
      expect(held).toBeUndefined();
      expect(done).toContain("found 2 releases on the host");
      expect(done).toContain(`found ${v2} running with the traffic: it is live`);
      expect(done).toContain(`found ${v1} also up: it is warm`);
      expect(host.disk.state.get("shop.before-repair")).toBe(text);
      expect(host.effects).toEqual([]);
      expect(await agent.app("shop")).toMatchObject({
        live: v2,
        warm: { run: v1 },
        previous: v1,
        releases: [
          { id: v2, state: "live" },
          { id: v1, state: "good" },
        ],
      });
      expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
      expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
    });
  }

  test("takes a release that came after the live one for one that was given up, and removes what runs of it", async () => {
    const host = await left();
    const agent = agentOn(host);
    await ended(agent, agent.deploy("shop", host.request(v3, warm, { activate: false })));
    await agent.close();
    host.disk.state.set("shop", "");
    const next = agentOn(host);
    await next.repair("shop");
    expect(await next.app("shop")).toMatchObject({ live: v2, staged: null });
    expect((await next.app("shop")).releases.map(({ id, state }) => [id, state])).toEqual([
      [v3, "rolled_back"],
      [v2, "live"],
      [v1, "good"],
    ]);
    expect([...host.disk.programs]).not.toContain(v3);
    expect(host.disk.slots).toBe(`${v2}:60`);
  });

  test("gives a canary's share back to the live release, and does not cut what the canary has in hand", async () => {
    const host = await left();
    const agent = agentOn(host);
    await ended(agent, agent.deploy("shop", host.request(v3, warm, { activate: false })));
    await ended(agent, agent.activate("shop", v3, { ...call, weight: 25 }));
    await agent.close();
    host.disk.state.set("shop", "");
    const next = agentOn(host);
    await next.repair("shop");
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect(host.disk.programs.has(v3)).toBe(true);
    expect(await next.app("shop")).toMatchObject({ live: v2, warm: { run: v3 }, previous: v1 });
  });
});
