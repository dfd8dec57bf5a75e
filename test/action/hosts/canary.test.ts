import { describe, expect, it } from "vitest";
import { raiseCanary } from "../../../action/hosts/canary.ts";
import { canarySteps } from "../../../action/hosts/canary-steps.ts";
import { deployAll } from "../../../action/hosts/rollout.ts";
import { never } from "../workspace.ts";
import { fleet } from "./fleet.ts";

/** Time that passes when somebody waits. */
function quickTime() {
  let now = 0;
  return {
    elapsed: () => now,
    after(ms: number, call: () => void) {
      const timer = setImmediate(() => {
        now += ms;
        call();
      });
      return () => clearImmediate(timer);
    },
  };
}

type Verdict = "few" | "open" | "well";

/** A deploy with `canary: auto` to agents that say this at each weight. */
async function raised(...says: ((weight: number) => Verdict | undefined)[]) {
  const agents = says.map((say) => ({
    canary: (weight: number) => {
      const verdict = say(weight);
      return verdict && { weight, verdict, said: `${verdict} at ${weight} %` };
    },
  }));
  const { hosts, bundle, journal } = await fleet(...agents);
  const time = quickTime();
  const said: string[] = [];
  const at: [number, number][] = [];
  const check = async (weight: number) => void at.push([weight, time.elapsed() / 1000]);
  const steps = canarySteps.parse("auto").filter(({ weight }) => weight < 100);
  const request = {
    release: bundle.release,
    steps,
    check,
    say: (line: string) => void said.push(line),
    signal: never,
    time,
  };
  const raise = () => raiseCanary(hosts, request);
  await deployAll(hosts, { bundle, releaseCommand: false, signal: never, raise });
  return { said, at, activated: journal.filter((line) => line.endsWith(" activate")).length };
}

describe("canary: auto", () => {
  it("goes from 1 to 100 percent as soon as visitors are seen to fare well", async () => {
    const { said, at, activated } = await raised(() => "well");
    expect(at).toEqual([1, 5, 25, 50].map((weight) => [weight, 0]));
    expect(said).toContainEqual(expect.stringMatching(/has 1 % of the traffic, for at most 180 s\.$/));
    expect(said).toContainEqual(expect.stringMatching(/: well at 50 %\.$/));
    expect(activated).toBe(1);
  });

  it("waits for every host, and no longer than the step's time, which it says", async () => {
    const { said, at, activated } = await raised(
      () => "well",
      (weight) => (weight === 5 ? "few" : "well"),
    );
    expect(at).toEqual([
      [1, 0],
      [5, 180],
      [25, 180],
      [50, 180],
    ]);
    expect(said).toContainEqual(expect.stringMatching(/not evidence enough/));
    expect(said).toContainEqual(expect.stringMatching(/: few at 5 %\.$/));
    expect(activated).toBe(2);
  });

  it("takes the time of each step where an older agent says nothing", async () => {
    const { said, at } = await raised(() => undefined);
    expect(at.at(-1)).toEqual([50, 720]);
    expect(said).toContainEqual(expect.stringMatching(/does not judge canaries/));
  });
});

it("`auto@1m` waits a minute at most", () => {
  expect(canarySteps.parse("auto@1m").map(({ weight, holdMs }) => [weight, holdMs])).toEqual([
    [1, 60_000],
    [5, 60_000],
    [25, 60_000],
    [50, 60_000],
    [100, 0],
  ]);
});
