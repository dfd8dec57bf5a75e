import { asCutoverError } from "../shared/errors.ts";
import { readInputs } from "./inputs.ts";
import type { Effects } from "./job.ts";
import { newJobReport } from "./report/job-report.ts";
import { annotateFailures, type Publication, publish } from "./report/publish.ts";
import { run } from "./run.ts";
import { cancellation } from "./runner/cancellation.ts";
import { execute } from "./runner/exec.ts";
import { realTime } from "./runner/time.ts";

export interface ActionParts extends Pick<Effects, "env" | "platform" | "now" | "log" | "connect"> {
  publication: Publication;
}

/**
 * Reads the inputs, does the job, reports it.
 * @returns whether it went well; a failure has its annotations then
 */
export async function runAction({ publication, ...effects }: ActionParts): Promise<boolean> {
  const { env, log, now } = effects;
  const report = newJobReport("deploy", now());
  try {
    const inputs = readInputs(env);
    report.command = inputs.command;
    report.dryRun = inputs.dryRun;
    report.directory = inputs.workingDirectory;
    if (inputs.signingKey !== "") log.mask(inputs.signingKey);
    const { signal, cancelled, release } = cancellation(inputs.timeoutMs);
    const all = { ...effects, exec: execute, signal, cancelled, time: realTime };
    await run(inputs, all, report).finally(release);
  } catch (thrown) {
    report.failure = asCutoverError(thrown, "runner");
  }
  await publish(report, log, publication);
  if (report.failure === undefined) return true;
  annotateFailures(report, log);
  return false;
}
