import { CutoverError } from "../../shared/errors.ts";
import { realTime, sleep, type Time } from "../runner/time.ts";
import type { CanaryStep } from "./canary-steps.ts";
import type { HostDeploy } from "./host-deploy.ts";
import { wavesOf } from "./waves.ts";

export interface CanaryRequest {
  release: string;
  /** The steps below 100. */
  steps: CanaryStep[];
  /** Called after each step's time; throws if the release must not have more. */
  check(weight: number): Promise<void>;
  say(line: string): void;
  signal: AbortSignal;
  time?: Time;
  /** Hosts at the same time. */
  parallel?: number;
}

/** Waits for all, so that nothing runs while it is undone. @throws the first failure */
async function settled(work: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

const lookEveryMs = 5000;

/**
 * Gives the staged release more and more of the traffic on all hosts. Each agent watches the health of its own canary;
 * the job asks all of them, every few seconds, whether theirs is still staged.
 * @throws CutoverError canary_failed and what `check` throws
 */
export async function raiseCanary(
  hosts: HostDeploy[],
  { release, steps, check, say, signal, time = realTime, parallel = 1 }: CanaryRequest,
): Promise<void> {
  for (const { weight, holdMs } of steps) {
    for (const wave of wavesOf(hosts, { parallel, canaryHosts: 0 })) {
      await settled(wave.map((host) => host.shift(release, weight, signal)));
    }
    say(`${release} has ${weight} % of the traffic${holdMs === 0 ? "" : `, for ${holdMs / 1000} s`}.`);
    const end = time.elapsed() + holdMs;
    for (;;) {
      await Promise.all(hosts.map((host) => host.assertStaged(signal)));
      const left = end - time.elapsed();
      if (left <= 0) break;
      await sleep(time, Math.min(left, lookEveryMs), signal);
    }
    await check(weight);
  }
}

/** @param how the command ended, as a sentence */
export function checkFailed(weight: number, how: string, output: string): CutoverError {
  return new CutoverError(
    "canary_failed",
    `The command in canary-check failed, with ${weight} % of the traffic on the new release. ${how}`,
    {
      unchanged: "Every host was asked to take the canary back; the result shows the outcome on each host.",
      fix: "Its output is with this message. Correct what it found and deploy again.",
      evidence: output === "" ? [] : [{ source: "canary-check", text: output }],
    },
  );
}
