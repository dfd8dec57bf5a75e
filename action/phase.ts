import prettyMilliseconds from "pretty-ms";
import type { Effects } from "./effects.ts";
import type { JobReport } from "./job-report.ts";

interface PhaseContext {
  effects: Pick<Effects, "log" | "now">;
  report: JobReport;
}

/** One step of the Action itself: a group in the log, and a time in the report. */
export async function inPhase<T>({ effects, report }: PhaseContext, name: string, work: () => Promise<T>): Promise<T> {
  const { log, now } = effects;
  const start = now();
  log.startGroup(name);
  try {
    return await work();
  } finally {
    const took = now() - start;
    report.phases.push({ name, start, took });
    log.line(`${name} took ${prettyMilliseconds(took)}`);
    log.endGroup();
  }
}
