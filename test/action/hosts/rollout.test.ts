import { afterEach, describe, expect, it } from "vitest";
import { Bundle } from "../../../action/bundle/bundle.ts";
import { listFiles, makeManifest, readForBundle } from "../../../action/bundle/manifest.ts";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import { type CanaryRequest, checkFailed, raiseCanary } from "../../../action/hosts/canary.ts";
import { HostApp } from "../../../action/hosts/host-app.ts";
import { HostDeploy } from "../../../action/hosts/host-deploy.ts";
import { HostLog } from "../../../action/hosts/host-log.ts";
import { activateAll, deployAll, oneByOne, stageAll } from "../../../action/hosts/rollout.ts";
import { Log } from "../../../action/runner/log.ts";
import { realTime } from "../../../action/runner/time.ts";
import { keyTokens } from "../../../action/tokens/key-tokens.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { generateKey } from "../../../shared/key.ts";
import { FakeAgent, type FakeAgentOptions } from "../../fakes/agent.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { configOf, never, refusal, Workspace } from "../workspace.ts";

const quick = { ...usualTiming, firstDelayMs: 5, lostAfterMs: 200 };
const failure = { code: "health_failed", detail: "web-0 answered 500", fix: "Read the traceback." };
const watchFailed = {
  code: "watch_failed",
  detail: "It failed after the cutover.",
  evidence: [{ source: "web-0", text: "Traceback" }],
};
const open: (Disposable | AsyncDisposable)[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) {
    if (Symbol.asyncDispose in each) await each[Symbol.asyncDispose]();
    else each[Symbol.dispose]();
  }
});

/** Hosts named a, b, c with agents that behave as said; what they did, in order, is the journal. */
async function fleet(...options: FakeAgentOptions[]) {
  const journal: string[] = [];
  const pair = await generateKey();
  const mask = () => {};
  const tokens = await keyTokens({ signingKey: pair.privatePem, env: {}, now: Date.now, mask });
  const log = new RecordedConsole();
  const agents: FakeAgent[] = [];
  const hosts: HostDeploy[] = [];
  for (const [index, each] of options.entries()) {
    const agent = await FakeAgent.start({ ...each, journal, name: "abc"[index] ?? "x" }, pair);
    open.push(agent);
    agents.push(agent);
    const client = new AgentClient(agent.url, { timing: quick });
    const hostLog = new HostLog(new Log(log), client.host, options.length === 1);
    const app = new HostApp({ app: "shop", client, tokens, waitMs: 0 });
    hosts.push(new HostDeploy({ app, log: hostLog, now: Date.now }));
  }
  return { journal, hosts, agents, log, bundle: await smallBundle() };
}

async function smallBundle(): Promise<Bundle> {
  const space = new Workspace({ "p/shop/wsgi.py": "application = 1\n" });
  open.push(space);
  const config = configOf();
  const files = readForBundle(listFiles(config, space.at("p"), []));
  const made = new Date("2026-11-21T10:30:00Z");
  const manifest = makeManifest({ config, files, made, commit: "3f2c1ab".padEnd(40, "0"), repository: "" });
  return new Bundle({ manifest, files, directory: space.path, signal: never, onPacked: () => undefined });
}

/** A gray release whose steps take no time. */
function raising(request: Partial<CanaryRequest> & Pick<CanaryRequest, "release">) {
  const steps = [5, 25, 50].map((weight) => ({ weight, holdMs: 0 }));
  const check = async () => {};
  return (hosts: HostDeploy[]) => raiseCanary(hosts, { steps, check, say: () => {}, signal: never, ...request });
}

function outcomes(hosts: HostDeploy[]) {
  return hosts.map(({ report }) => report.outcome);
}

describe("a deploy to several hosts", () => {
  it("stages on all of them before it activates on any", async () => {
    const { journal, hosts, bundle } = await fleet({}, {}, {});
    await deployAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(outcomes(hosts)).toEqual(["succeeded", "succeeded", "succeeded"]);
    const firstActivate = journal.findIndex((line) => line.endsWith(" activate"));
    const staged = journal.slice(0, firstActivate).filter((line) => line.endsWith("deploy healthy"));
    expect(staged.toSorted()).toEqual(["a deploy healthy", "b deploy healthy", "c deploy healthy"]);
  });

  it("runs the release command on the first host alone, before the others begin", async () => {
    const { journal, hosts, bundle } = await fleet({}, {});
    await deployAll(hosts, { bundle, releaseCommand: true, signal: never });
    expect(journal[0]).toBe("a upload activate=false release_command=true");
    expect(journal).toContain("b upload activate=false release_command=false");
    expect(journal.indexOf("b upload activate=false release_command=false")).toBeGreaterThan(
      journal.indexOf("a deploy released"),
    );
  });

  it("gives a canary its steps on all hosts, and only then all of the traffic", async () => {
    const { journal, hosts, bundle } = await fleet({}, {});
    const checked: number[] = [];
    const check = async (weight: number) => void checked.push(weight);
    const raise = raising({ release: bundle.release, check });
    await deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise });
    const moves = journal.filter((line) => /^. activate(?: \d+)?$/.test(line));
    const steps = [5, 25, 50].flatMap((weight) => [`a activate ${weight}`, `b activate ${weight}`]);
    expect(moves).toEqual([...steps, "a activate", "b activate"]);
    expect(checked).toEqual([5, 25, 50]);
    expect(outcomes(hosts)).toEqual(["succeeded", "succeeded"]);
    expect(hosts.map(({ report }) => report.note)).toEqual([undefined, undefined]);
  });

  it("takes a canary away everywhere when one host's fails its checks", async () => {
    const { journal, hosts, bundle } = await fleet({}, { canaryFailsAt: 25 });
    const raise = raising({ release: bundle.release });
    const failed = refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise }));
    expect((await failed).code).toBe("canary_failed");
    expect(outcomes(hosts)).toEqual(["aborted", "failed"]);
    expect(journal).toContain("a abort deploy");
    expect(journal.filter((line) => line.endsWith("activate 50") || line.endsWith("activate"))).toEqual([]);
  });

  it("takes a canary away everywhere when the workflow's own check fails", async () => {
    const { journal, hosts, bundle } = await fleet({}, {});
    const check = async (weight: number) => {
      if (weight === 25) throw checkFailed(weight, "It ended with exit code 1.", "the shop sells nothing");
    };
    const raise = raising({ release: bundle.release, check });
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise }));
    expect(error.code).toBe("canary_failed");
    expect(error.evidence).toEqual([{ source: "canary-check", text: "the shop sells nothing" }]);
    expect(outcomes(hosts)).toEqual(["aborted", "aborted"]);
    expect(journal.filter((line) => line.endsWith("abort deploy"))).toHaveLength(2);
  });

  it("sends nothing to the others when the release command failed on the first", async () => {
    const { journal, hosts, bundle } = await fleet({ failAt: { kind: "deploy", state: "released", failure } }, {});
    expect((await refusal(() => deployAll(hosts, { bundle, releaseCommand: true, signal: never }))).code).toBe(
      "health_failed",
    );
    expect(outcomes(hosts)).toEqual(["failed", "not_started"]);
    expect(journal.filter((line) => line.startsWith("b"))).toEqual([]);
  });

  it("activates none when one fails to become healthy, and aborts the others", async () => {
    const { journal, hosts, bundle } = await fleet(
      {},
      { failAt: { kind: "deploy", state: "healthy", failure } },
      { holdAt: { kind: "deploy", state: "built" } },
    );
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error).toMatchObject({ code: "health_failed", message: "web-0 answered 500", fix: "Read the traceback." });
    expect(outcomes(hosts)).toEqual(["aborted", "failed", "aborted"]);
    expect(journal.some((line) => line.includes("activate "))).toBe(false);
    expect(journal).toContain("a abort deploy");
    expect(journal).toContain("c abort deploy");
  });

  it("goes back on activated hosts when another host's activation fails, and aborts what is staged", async () => {
    const { journal, hosts, bundle } = await fleet(
      {},
      { failAt: { kind: "activate", state: "cut_over", failure } },
      {},
    );
    await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(outcomes(hosts)).toEqual(["rolled_back", "failed", "aborted"]);
    expect(journal).toContain("a rollback done");
    expect(journal).toContain("b abort deploy");
    expect(journal).toContain("c abort deploy");
  });

  it("goes back everywhere when one host's release fails its watch, and that host has gone back by itself", async () => {
    const failAt = { kind: "activate", state: "drained", failure: watchFailed } as const;
    const { journal, hosts, bundle } = await fleet({}, { failAt }, {});
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error).toMatchObject({ code: "watch_failed", evidence: [{ source: "web-0", text: "Traceback" }] });
    expect(outcomes(hosts)[1]).toBe("failed");
    expect(journal).toContain(`a rollback from ${bundle.release}`);
    expect(outcomes(hosts)[0]).toBe("rolled_back");
    // By then it had cut over, or it was not asked to.
    expect(outcomes(hosts)[2]).toMatch(/^(?:rolled_back|aborted)$/);
    expect(journal.filter((line) => line.startsWith("b rollback"))).toEqual([]);
  });

  it("asks no host to go back that its own watch has taken back", async () => {
    const failAt = { kind: "activate", state: "drained", failure: watchFailed } as const;
    const refuseRollback = { status: 409, code: "not_live", detail: "It is not live any more." } as const;
    const { hosts, bundle } = await fleet({ failAt, refuseRollback }, { failAt, refuseRollback });
    await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(outcomes(hosts)[0]).toBe("failed");
    expect(hosts.map(({ report }) => report.note)).toEqual([undefined, undefined]);
  });

  it("leaves the others as they are when one fails after its cutover in another way: it serves the new release too", async () => {
    const { journal, hosts, bundle } = await fleet({ failAt: { kind: "activate", state: "drained", failure } }, {});
    await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(outcomes(hosts)).toEqual(["failed", "succeeded"]);
    expect(journal.filter((line) => line.includes("rollback"))).toEqual([]);
  });

  it("aborts what has not cut over when the job is cancelled", async () => {
    const { journal, hosts, bundle } = await fleet({}, { holdAt: { kind: "deploy", state: "started" } });
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(new CutoverError("aborted", "The job was cancelled.")), 150);
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: cancel.signal }));
    expect(error.code).toBe("aborted");
    expect(outcomes(hosts)).toEqual(["aborted", "aborted"]);
    expect(journal.filter((line) => line.includes("abort")).toSorted()).toEqual(["a abort deploy", "b abort deploy"]);
  });

  it("undoes also a cutover that was asked for and has not happened when the job is cancelled", async () => {
    const { journal, hosts, bundle } = await fleet({ holdAt: { kind: "activate", state: "cut_over" } });
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(new CutoverError("timed_out", "The limit was reached.")), 150);
    expect((await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: cancel.signal }))).code).toBe(
      "timed_out",
    );
    expect(journal.slice(-2)).toEqual(["a abort activate", "a abort deploy"]);
    expect(outcomes(hosts)).toEqual(["aborted"]);
  });
});

describe("A8: a job whose time is over while it moves the traffic", () => {
  const timedOut = () => new CutoverError("timed_out", "The limit was reached.");

  it("goes back on the hosts that have the new release, if another one does not have it", async () => {
    const { journal, hosts, bundle } = await fleet({}, { holdAt: { kind: "activate", state: "cut_over" } }, {});
    const stop = new AbortController();
    const deployed = deployAll(hosts, { bundle, releaseCommand: false, signal: stop.signal });
    const failed = refusal(() => deployed);
    while (!journal.includes("b activate healthy")) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(timedOut());
    expect((await failed).code).toBe("timed_out");
    expect(outcomes(hosts)).toEqual(["rolled_back", "aborted", "aborted"]);
    expect(journal).toContain(`a rollback from ${bundle.release}`);
  });

  it("leaves them all as they are if all of them have it", async () => {
    const { journal, hosts, bundle } = await fleet({}, { holdAt: { kind: "activate", state: "drained" } });
    const stop = new AbortController();
    const failed = refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: stop.signal }));
    while (hosts[1]?.report.outcome !== "succeeded") await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(timedOut());
    expect((await failed).code).toBe("timed_out");
    expect(outcomes(hosts)).toEqual(["succeeded", "succeeded"]);
    expect(journal.filter((line) => line.includes("rollback"))).toEqual([]);
  });

  it("has no time to go back once a person cancels it", async () => {
    const { journal, hosts, bundle } = await fleet({}, { holdAt: { kind: "activate", state: "cut_over" } });
    const [stop, cancel] = [new AbortController(), new AbortController()];
    const ending = { cancelled: cancel.signal, time: realTime };
    const failed = refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: stop.signal, ending }));
    while (!journal.includes("b activate healthy")) await new Promise((resolve) => setTimeout(resolve, 5));
    cancel.abort();
    stop.abort(new CutoverError("aborted", "The job was cancelled."));
    await failed;
    expect(outcomes(hosts)).toEqual(["succeeded", "aborted"]);
  });
});

describe("A9: a canary that was taken back", () => {
  it("leaves no note of its traffic", async () => {
    const { hosts, bundle } = await fleet({}, {});
    const check = async (weight: number) => {
      throw checkFailed(weight, "It ended with exit code 1.", "");
    };
    const raise = raising({ release: bundle.release, check });
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise }));
    expect(outcomes(hosts)).toEqual(["aborted", "aborted"]);
    expect(hosts.map(({ report }) => report.note)).toEqual([undefined, undefined]);
    expect(error.unchanged).not.toContain("All traffic went back");
  });

  it("leaves none on the host that took it back by itself", async () => {
    const { hosts, bundle } = await fleet({ canaryFailsAt: 25 });
    const raise = raising({ release: bundle.release });
    await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise }));
    expect(hosts[0]?.report).toMatchObject({ outcome: "failed", failure: { code: "canary_failed" } });
    expect(hosts[0]?.report.note).toBeUndefined();
  });
});

describe("the other commands", () => {
  it("stop at the first host that fails", async () => {
    const { hosts } = await fleet({}, { failAt: { kind: "rollback", state: "healthy", failure } }, {});
    await refusal(() => oneByOne(hosts, (host) => host.rollback(never), never));
    expect(outcomes(hosts)).toEqual(["succeeded", "failed", "not_started"]);
  });

  it("stage and leave it at that, or activate what was staged", async () => {
    const { hosts, bundle, journal } = await fleet({});
    await stageAll(hosts, { bundle, releaseCommand: true, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    await activateAll(hosts, bundle.release, never);
    expect(outcomes(hosts)).toEqual(["succeeded"]);
    expect(journal.at(-1)).toBe("a activate done");
  });
});

describe("the way to a host", () => {
  it("survives a lost connection while following, and misses or repeats no event", async () => {
    const { hosts, bundle, journal } = await fleet({ breakEventsAfter: 3 });
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(journal).toContain("a events broken");
    expect(hosts[0]?.report.phases.map(({ name }) => name)).toEqual([
      "upload",
      "receive",
      "verify",
      "unpack",
      "build the environment",
      "release command",
      "start the instances",
      "health check",
    ]);
  });

  it("is tried again when a proxy has lost the agent, with another token", async () => {
    const { hosts, bundle, agents } = await fleet({ unavailable: 2 });
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    expect(agents[0]?.manifests).toHaveLength(1);
  });

  it("is tried again while an agent that has answered before is shutting down, for as long as an upgrade takes", async () => {
    const stopping = { status: 503, code: "agent_stopping", detail: "The agent is shutting down.", times: 7 } as const;
    const { hosts, bundle, agents } = await fleet({ refuseUpload: stopping });
    await hosts[0]?.check(never);
    await stageAll(hosts, { bundle, releaseCommand: false, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    expect(agents[0]?.manifests).toHaveLength(1);
  });

  it("sends nothing of a bundle that is refused at its headers, and does not try again", async () => {
    const refuseUpload = {
      status: 409,
      code: "deployment_in_progress",
      detail: "shop is held by deploy x of y.",
    } as const;
    const { hosts, bundle, agents } = await fleet({ refuseUpload });
    const error = await refusal(() => stageAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error).toMatchObject({ code: "deployment_in_progress", message: refuseUpload.detail });
    expect(agents[0]?.received).toBe(0);
    expect(agents[0]?.subjects).toHaveLength(1);
  });

  it("tells an agent that is not there, one of another version, and something else", async () => {
    const { hosts, agents } = await fleet({});
    await agents[0]?.close();
    open.splice(open.indexOf(agents[0]!), 1);
    expect((await refusal(() => hosts[0]?.check(never))).code).toBe("agent_unreachable");
    const newer = await fleet({ protocol: 2 });
    const error = await refusal(() => newer.hosts[0]?.check(never));
    expect(error).toMatchObject({ code: "agent_incompatible" });
    expect(error.message).toContain("version 9.9.9");
  });

  it("keeps the code of a newer agent in the message", async () => {
    const { hosts, bundle } = await fleet({
      failAt: { kind: "deploy", state: "built", failure: { code: "moon_phase", detail: "Not tonight." } },
    });
    const error = await refusal(() => stageAll(hosts, { bundle, releaseCommand: false, signal: never }));
    expect(error.code).toBe("internal");
    expect(error.message).toContain("moon_phase");
  });
});
