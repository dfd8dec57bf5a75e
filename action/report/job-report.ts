import type { CutoverError } from "../../shared/errors.ts";
import type { Command } from "../inputs.ts";

/** One phase of the job: a step of the Action itself, or a state that a host reached. Times in milliseconds. */
export interface Phase {
  name: string;
  start: number;
  took: number;
}

/**
 * The outcome on one host. `staged`: ready, without traffic. `succeeded`: it serves what the job asked for.
 * `rolled_back`: it had cut over and went back. `unknown`: the job ended before the host said how it went.
 */
export type HostOutcome = "not_started" | "unknown" | "staged" | "succeeded" | "failed" | "aborted" | "rolled_back";

export interface HostReport {
  host: string;
  outcome: HostOutcome;
  release?: string;
  /** What was live when the job began here; null if nothing was, undefined if nothing has said so. */
  before?: string | null;
  phases: Phase[];
  /** Requests that were still open on the old instances when they were stopped. */
  cut?: number;
  /** What visitors saw after the cutover. */
  visitors?: string;
  failure?: CutoverError;
  /** What a person should know, apart from the outcome. */
  note?: string;
}

/** With more hosts than this nobody reads what is as usual on each. */
export const manyHosts = 20;

/** What is known of the job. It is filled step by step, so that a failed job can be reported too. */
export interface JobReport {
  command: Command;
  started: number;
  /** Nothing is sent. */
  dryRun?: boolean;
  /** The project's directory, relative to the repository. */
  directory?: string;
  app?: string;
  release?: string;
  digest?: string;
  bundle?: string;
  url?: string;
  phases: Phase[];
  hosts: HostReport[];
  failure?: CutoverError;
}

/** Takes over what a deployment found live. Of several of a job the first one counts. */
export function noteBefore(report: HostReport, before: string | null | undefined): void {
  if (report.before === undefined && before !== undefined) report.before = before;
}

export function newJobReport(command: Command, started: number): JobReport {
  return { command, started, phases: [], hosts: [] };
}

/** The output `result`: plain JSON by host. */
export function resultByHost(hosts: HostReport[]): Record<string, object> {
  return Object.fromEntries(
    hosts.map(({ host, outcome, release, phases, cut, visitors, failure, note }) => [
      host,
      {
        outcome,
        release,
        phases: phases.map(({ name, took }) => ({ name, took: Math.round(took) })),
        cut,
        visitors,
        note,
        error: failure && { code: failure.code, message: failure.message, fix: failure.fix },
      },
    ]),
  );
}
