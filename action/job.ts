import prettyMilliseconds from "pretty-ms";
import type { Config } from "../shared/config.ts";
import type { ReadFile } from "./bundle/read-files.ts";
import type { AgentClient } from "./client/agent-client.ts";
import type { Inputs } from "./inputs.ts";
import type { ReadConfig } from "./project/config.ts";
import type { Noticed } from "./project/warning.ts";
import type { JobReport } from "./report/job-report.ts";
import type { Exec } from "./runner/exec.ts";
import type { Log } from "./runner/log.ts";
import type { Time } from "./runner/time.ts";

/** Everything outside that the job touches, so that a test can put its own in place. */
export interface Effects {
  env: NodeJS.ProcessEnv;
  /** As Node names it. */
  platform: NodeJS.Platform;
  /** Milliseconds since the epoch. */
  now(): number;
  exec: Exec;
  connect(url: URL): AgentClient;
  log: Log;
  /** Aborted with a CutoverError (aborted, timed_out) as its reason. */
  signal: AbortSignal;
  /** Aborted if a person cancels the job, also after `signal` was aborted. */
  cancelled: AbortSignal;
  time: Time;
}

/** What the steps of a job share. */
export interface Job {
  inputs: Inputs;
  effects: Effects;
  report: JobReport;
  config: Config;
  /** Where a key is in cutover.yml. */
  at: ReadConfig["at"];
  /** The project. */
  directory: string;
  /** Files of it that were read before anything was built. One that has changed since then is read again. */
  early: ReadFile[];
  /** What visitors would notice. It is said when the job ends. */
  advice: Promise<Noticed[]>;
}

/** Does one step of the Action itself: a line in the log, with a group for what it prints, and a time in the report. */
export async function inPhase<T>({ effects, report }: Job, name: string, work: () => Promise<T>): Promise<T> {
  const { log, now } = effects;
  const start = now();
  log.groupIfPrinted(name);
  try {
    return await work();
  } finally {
    const took = now() - start;
    report.phases.push({ name, start, took });
    log.endGroup();
    log.line(`${name} (${prettyMilliseconds(took)})`);
  }
}
