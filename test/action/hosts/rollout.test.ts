import { describe, expect, it, vi } from "vitest";
import { type CanaryRequest, checkFailed, raiseCanary } from "../../../action/hosts/canary.ts";
import type { HostDeploy } from "../../../action/hosts/host-deploy.ts";
import { activateAll, deployAll, onAll, stageAll } from "../../../action/hosts/rollout.ts";
import { realTime } from "../../../action/runner/time.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { never, refusal } from "../workspace.ts";
import { fleet, outcomes } from "./fleet.ts";

const failure = { code: "health_failed", detail: "web-0 answered 500", fix: "Read the traceback." };
const watchFailed = {
  code: "watch_failed",
  detail: "It failed after the cutover.",
  evidence: [{ source: "web-0", text: "Traceback" }],
};

/** A gray release whose steps take no time. */
function raising(request: Partial<CanaryRequest> & Pick<CanaryRequest, "release">) {
  const steps = [5, 25, 50].map((weight) => ({ weight, holdMs: 0 }));
  const check = async () => {};
  return (hosts: HostDeploy[]) => raiseCanary(hosts, { steps, check, say: () => {}, signal: never, ...request });
}

/** Resolves when all of this has happened. */
async function noted(journal: string[], ...lines: string[]): Promise<void> {
  await vi.waitUntil(() => lines.every((line) => journal.includes(line)), { timeout: 30_000 });
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

  it.each(["watch_failed", "visitors_failed"])(
    "goes back everywhere when one host's release ends with %s, and that host has gone back by itself",
    async (code) => {
      const failAt = { kind: "activate", state: "drained", failure: { ...watchFailed, code } } as const;
      const { journal, hosts, bundle } = await fleet({}, { failAt }, {});
      const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: never }));
      expect(error).toMatchObject({ code, evidence: [{ source: "web-0", text: "Traceback" }] });
      expect(outcomes(hosts)[1]).toBe("failed");
      expect(journal).toContain(`a rollback from ${bundle.release}`);
      expect(outcomes(hosts)[0]).toBe("rolled_back");
      // By then it had cut over, or it was not asked to.
      expect(outcomes(hosts)[2]).toMatch(/^(?:rolled_back|aborted)$/);
      expect(journal.filter((line) => line.startsWith("b rollback"))).toEqual([]);
    },
  );

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
    void noted(journal, "a deploy healthy", "b deploy released").then(() =>
      cancel.abort(new CutoverError("aborted", "The job was cancelled.")),
    );
    const error = await refusal(() => deployAll(hosts, { bundle, releaseCommand: false, signal: cancel.signal }));
    expect(error.code).toBe("aborted");
    expect(outcomes(hosts)).toEqual(["aborted", "aborted"]);
    expect(journal.filter((line) => line.includes("abort")).toSorted()).toEqual(["a abort deploy", "b abort deploy"]);
  });

  it("undoes also a cutover that was asked for and has not happened when the job is cancelled", async () => {
    const { journal, hosts, bundle } = await fleet({ holdAt: { kind: "activate", state: "cut_over" } });
    const cancel = new AbortController();
    void noted(journal, "a activate healthy").then(() =>
      cancel.abort(new CutoverError("timed_out", "The limit was reached.")),
    );
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
    expect(error.message).toMatch(/ It ended with exit code 1\. It printed nothing\.$/);
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
    await refusal(() => onAll(hosts, (host) => host.rollback(never), { signal: never }));
    expect(outcomes(hosts)).toEqual(["succeeded", "failed", "not_started"]);
  });

  it("stage and leave it at that, or activate what was staged", async () => {
    const { hosts, bundle, journal } = await fleet({});
    await stageAll(hosts, { bundle, releaseCommand: true, signal: never });
    expect(outcomes(hosts)).toEqual(["staged"]);
    await activateAll(hosts, bundle.release, { signal: never });
    expect(outcomes(hosts)).toEqual(["succeeded"]);
    expect(journal.at(-1)).toBe("a activate done");
  });
});
