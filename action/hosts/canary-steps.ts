import { z } from "zod";
import { milliseconds } from "../../shared/duration.ts";

/** One step of a gray release: how much of the traffic, in percent, and how long before the next step. */
export interface CanaryStep {
  weight: number;
  /** At most, if evidence may end it earlier. */
  holdMs: number;
  /** Whether it ends as soon as every host's judge has seen that visitors fare well. */
  early?: boolean;
}

const auto = /^auto(?:@(\d{1,6}(?:ms|s|m|h|d)))?$/;
const autoWeights = [1, 5, 25, 50];
/** Four of them fit into the usual time limit of a job. */
const autoHold = "3m";

const step = /^(\d{1,3})(?:@(\d{1,6}(?:ms|s|m|h|d)))?$/;

/**
 * `5@2m, 25@5m, 100`: rising weights, each with the time for which it holds; 100 ends it. `auto`: 1, 5, 25, 50, 100 by evidence;
 * `auto@10m` if each may wait so long for it. Empty for no canary.
 */
export const canarySteps = z.string().transform((text, context): CanaryStep[] => {
  const parts = text.split(",").map((part) => part.trim());
  if (text === "") return [];
  const byEvidence = auto.exec(text.trim());
  if (byEvidence !== null) return autoSteps(milliseconds(byEvidence[1] ?? autoHold));
  const fault = (message: string) => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  const steps: CanaryStep[] = [];
  for (const part of parts) {
    const [, weight, hold] = step.exec(part) ?? [];
    if (weight === undefined)
      return fault(`${JSON.stringify(part)} is not a step; write steps as 5@2m, 25@5m, 100, or auto`);
    steps.push({ weight: Number(weight), holdMs: hold === undefined ? 0 : milliseconds(hold) });
  }
  const wrong = steps.find(({ weight }) => weight < 1 || weight > 100);
  if (wrong !== undefined) return fault(`a weight is 1 to 100 percent, not ${wrong.weight}`);
  if (steps.some(({ weight }, index) => weight <= (steps[index - 1]?.weight ?? 0))) {
    return fault("each step must have more of the traffic than the previous one");
  }
  if (steps.at(-1)?.weight !== 100) return fault("the last step must be 100");
  return steps;
});

function autoSteps(holdMs: number): CanaryStep[] {
  return [...autoWeights.map((weight) => ({ weight, holdMs, early: true })), { weight: 100, holdMs: 0 }];
}
