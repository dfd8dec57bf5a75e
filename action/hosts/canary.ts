import { CutoverError } from "../../shared/errors.ts";
import { ownText } from "../../shared/own-text.ts";
import type { DeploymentView } from "../../shared/protocol.ts";
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

type Canary = DeploymentView["canary"];

/**
 * Gives the staged release more and more of the traffic on all hosts. Each agent watches the health of its own canary and
 * judges it by its visitors; the job asks all of them, every few seconds, whether theirs is still staged.
 * @throws CutoverError canary_failed, visitors_failed and what `check` throws
 */
export async function raiseCanary(hosts: HostDeploy[], request: CanaryRequest): Promise<void> {
  const { release, steps, check, say, signal, parallel = 1 } = request;
  for (const step of steps) {
    const { weight, holdMs, early = false } = step;
    for (const wave of wavesOf(hosts, { parallel, canaryHosts: 0 })) {
      await settled(wave.map((host) => host.shift(release, weight, signal)));
    }
    const hold = `, for ${early ? "at most " : ""}${holdMs / 1000} s`;
    say(`${release} has ${weight} % of the traffic${holdMs === 0 ? "" : hold}.`);
    await holdStep(hosts, step, request);
    await check(weight);
  }
}

async function holdStep(
  hosts: HostDeploy[],
  { weight, holdMs, early = false }: CanaryStep,
  { say, signal, time = realTime }: CanaryRequest,
): Promise<void> {
  const end = time.elapsed() + holdMs;
  for (;;) {
    const canaries = await Promise.all(hosts.map((host) => host.assertStaged(signal)));
    // What an agent said of the step before says nothing of this one.
    const isWell = early && canaries.every((canary) => canary?.weight === weight && canary.verdict === "well");
    const left = end - time.elapsed();
    if (left > 0 && !isWell) {
      await sleep(time, Math.min(left, lookEveryMs), signal);
      continue;
    }
    if (early) sayEvidence(say, hosts, canaries, isWell);
    return;
  }
}

/** Too few requests are no failure: the step has taken its time, as one without evidence does. */
function sayEvidence(say: (line: string) => void, hosts: HostDeploy[], canaries: Canary[], isWell: boolean): void {
  if (!isWell) say("There is not evidence enough after this time; the canary goes on without it.");
  for (const [index, canary] of canaries.entries()) {
    say(`${hosts[index]?.report.host}: ${canary?.said ?? "its agent does not judge canaries; a newer one does"}.`);
  }
}

const longestLine = 300;

/** @param how the command ended, as a sentence */
export function checkFailed(weight: number, how: string, output: string): CutoverError {
  const last = output.trimEnd().split(/\r?\n/).at(-1)?.trim() ?? "";
  const said = last === "" ? "It printed nothing." : `Its last line: ${ownText(last.slice(0, longestLine))}`;
  return new CutoverError(
    "canary_failed",
    `The command in canary-check failed, with ${weight} % of the traffic on the new release. ${how} ${said}`,
    {
      unchanged: "Every host was asked to take the canary back; the result shows the outcome on each host.",
      fix: "Correct what it found and deploy again.",
      evidence: output === "" ? [] : [{ source: "canary-check", text: output }],
    },
  );
}
