import { describe, expect, it } from "vitest";
import { deployAll, onAll } from "../../../action/hosts/rollout.ts";
import { planOf, usualPlan, wavesOf } from "../../../action/hosts/waves.ts";
import { readInputs } from "../../../action/inputs.ts";
import { configSchema } from "../../../shared/config.ts";
import { never, refusal } from "../workspace.ts";
import { fleet, outcomes } from "./fleet.ts";

const failure = { code: "health_failed", detail: "web-0 answered 500", fix: "Read the traceback." };
const hosts = (count: number) => Array.from({ length: count }, (_, index) => index);

function plan(rollout: object) {
  return planOf(configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "a:b" }, rollout }).rollout);
}

describe("waves", () => {
  it("are the canary hosts, and then so many hosts at a time", () => {
    expect(wavesOf(hosts(5), usualPlan)).toEqual([[0], [1], [2], [3], [4]]);
    expect(wavesOf(hosts(6), plan({ parallel: 2, canary_hosts: 1 }))).toEqual([[0], [1, 2], [3, 4], [5]]);
    expect(wavesOf(hosts(3), plan({ parallel: "all" }))).toEqual([[0, 1, 2]]);
    expect(wavesOf(hosts(2), plan({ parallel: "all", canary_hosts: 5 }))).toEqual([[0, 1]]);
    expect(wavesOf([], usualPlan)).toEqual([]);
  });

  it("are what the inputs say, key by key, before what cutover.yml says", () => {
    const inputs = readInputs({
      INPUT_HOSTS: "https://a:1",
      INPUT_PARALLEL: "7",
      "INPUT_MAX-FAILURES": "2",
      INPUT_PAUSE: "5s",
    });
    const { rollout } = configSchema.parse({
      ...{ app: "shop", server: { kind: "gunicorn", app: "a:b" } },
      rollout: { parallel: 2, canary_hosts: 1 },
    });
    expect(planOf(rollout, inputs.rollout)).toEqual({ parallel: 7, canaryHosts: 1, pauseMs: 5000, maxFailures: 2 });
    expect(planOf(undefined, inputs.rollout)).toMatchObject({ parallel: 7, canaryHosts: 0 });
    expect(planOf(undefined, readInputs({ INPUT_HOSTS: "https://a:1" }).rollout)).toBe(usualPlan);
    expect(() => readInputs({ INPUT_HOSTS: "https://a:1", INPUT_PARALLEL: "many" })).toThrow(
      /Input parallel: .*or all/,
    );
  });

  it("come one after the other, each when the one before has the traffic, and the log says so", async () => {
    const { journal, hosts: all, bundle } = await fleet({}, {}, {});
    const lines: string[] = [];
    const rollout = plan({ parallel: 2, canary_hosts: 1, pause: "50ms" });
    const say = (line: string) => void lines.push(line);
    await deployAll(all, { bundle, releaseCommand: false, signal: never, plan: rollout, say });
    expect(outcomes(all)).toEqual(["succeeded", "succeeded", "succeeded"]);
    const moves = journal.filter((line) => /^. activate(?:$| cut_over$)/.test(line));
    expect(moves.slice(0, 2)).toEqual(["a activate", "a activate cut_over"]);
    // The next two begin together.
    expect(moves.slice(2, 4).toSorted()).toEqual(["b activate", "c activate"]);
    expect(lines).toEqual([
      expect.stringMatching(/^wave 1 of 2: 1 of 3 hosts done, \d/),
      expect.stringMatching(/^wave 2 of 2: 3 of 3 hosts done, \d/),
    ]);
  });

  it.each(["deploy", "activate"] as const)(
    "go on when a host fails in its %s, if it may, and the job fails in the end",
    async (kind) => {
      const state = kind === "deploy" ? "healthy" : "cut_over";
      const { journal, hosts: all, bundle } = await fleet({}, { failAt: { kind, state, failure } }, {});
      const rollout = plan({ max_failures: 1 });
      const error = await refusal(() =>
        deployAll(all, { bundle, releaseCommand: false, signal: never, plan: rollout }),
      );
      expect(error.code).toBe("health_failed");
      expect(outcomes(all)).toEqual(["succeeded", "failed", "succeeded"]);
      expect(journal.filter((line) => line.includes("rollback"))).toEqual([]);
      if (kind === "activate") expect(journal).toContain("b abort deploy");
    },
  );

  it("go back on all hosts when one more fails than may, and those of the same wave have ended before", async () => {
    const failAt = { kind: "activate", state: "cut_over", failure } as const;
    const { journal, hosts: all, bundle } = await fleet({}, { failAt }, { failAt });
    const rollout = plan({ parallel: "all", max_failures: 1 });
    await refusal(() => deployAll(all, { bundle, releaseCommand: false, signal: never, plan: rollout }));
    expect(outcomes(all)).toEqual(["rolled_back", "failed", "failed"]);
    expect(journal).toContain("a rollback done");
  });

  it("end a pause when a host's watch fails in it", async () => {
    const watchFailed = { code: "watch_failed", detail: "It failed after the cutover." };
    const failAt = { kind: "activate", state: "drained", failure: watchFailed } as const;
    const { journal, hosts: all, bundle } = await fleet({ failAt }, {});
    const rollout = plan({ pause: "1h" });
    const error = await refusal(() => deployAll(all, { bundle, releaseCommand: false, signal: never, plan: rollout }));
    expect(error.code).toBe("watch_failed");
    expect(outcomes(all)).toEqual(["failed", "aborted"]);
    expect(journal).not.toContain("b activate");
  });

  it("are those of a rollback too", async () => {
    const { hosts: all } = await fleet({}, {}, {});
    const lines: string[] = [];
    await onAll(all, (host) => host.rollback(never), {
      ...{ signal: never, plan: plan({ parallel: 2 }), say: (line: string) => void lines.push(line) },
    });
    expect(outcomes(all)).toEqual(["succeeded", "succeeded", "succeeded"]);
    expect(lines).toHaveLength(2);
  });
});
