import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { milliseconds } from "../shared/duration.ts";
import { CutoverError } from "../shared/errors.ts";
import type { HostRun } from "./host-run.ts";

/** One step of a gray release: how much of the traffic, in percent, and how long before the next step. */
export interface CanaryStep {
  weight: number;
  holdMs: number;
}

const step = /^(\d{1,3})(?:@(\d{1,6}(?:ms|s|m|h|d)))?$/;

/** `5@2m, 25@5m, 100`: rising weights, each with the time for which it stays; 100 ends it. Empty for none. */
export const canarySteps = z.string().transform((text, context): CanaryStep[] => {
  const parts = text.split(",").map((part) => part.trim());
  if (text === "") return [];
  const fault = (message: string) => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  const steps: CanaryStep[] = [];
  for (const part of parts) {
    const [, weight, hold] = step.exec(part) ?? [];
    if (weight === undefined) return fault(`${JSON.stringify(part)} is no step; write them as 5@2m, 25@5m, 100`);
    steps.push({ weight: Number(weight), holdMs: hold === undefined ? 0 : milliseconds(hold) });
  }
  const wrong = steps.find(({ weight }) => weight < 1 || weight > 100);
  if (wrong !== undefined) return fault(`a weight is 1 to 100 percent, not ${wrong.weight}`);
  if (steps.some(({ weight }, index) => weight <= (steps[index - 1]?.weight ?? 0))) {
    return fault("each step must have more of the traffic than the one before");
  }
  if (steps.at(-1)?.weight !== 100) return fault("the last step must be 100");
  return steps;
});

export interface CanaryRequest {
  release: string;
  /** Those below 100. */
  steps: CanaryStep[];
  /** Called after each step's time; throws where the release must not have more. */
  check(weight: number): Promise<void>;
  say(line: string): void;
  signal: AbortSignal;
}

const lookEveryMs = 5000;

/**
 * Gives the staged release more and more of the traffic on all hosts. Each agent follows its own canary's health; here it is
 * asked whether all of them still are what they were.
 * @throws CutoverError canary_failed and what `check` throws
 */
export async function raiseCanary(
  hosts: HostRun[],
  { release, steps, check, say, signal }: CanaryRequest,
): Promise<void> {
  for (const { weight, holdMs } of steps) {
    for (const host of hosts) await host.shift(release, weight, signal);
    say(`${release} has ${weight} % of the traffic${holdMs === 0 ? "" : `, for ${holdMs / 1000} s`}.`);
    const end = performance.now() + holdMs;
    for (;;) {
      await Promise.all(hosts.map((host) => host.assertStaged(signal)));
      const left = end - performance.now();
      if (left <= 0) break;
      await sleep(Math.min(left, lookEveryMs), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
    await check(weight);
  }
}

export function checkFailed(weight: number, code: number, output: string): CutoverError {
  return new CutoverError(
    "canary_failed",
    `The command in canary-check ended with exit code ${code}, with ${weight} % of the traffic on the new release.`,
    {
      unchanged: "All traffic went back to the live release; the canary was drained, stopped and removed.",
      fix: "Its output is below. Correct it and deploy again.",
      evidence: [{ source: "canary-check", text: output }],
    },
  );
}
