import { readInputs } from "../../action/inputs.ts";
import type { Job } from "../../action/job.ts";
import { newJobReport } from "../../action/report/job-report.ts";
import { execute } from "../../action/runner/exec.ts";
import { Log } from "../../action/runner/log.ts";
import { realTime } from "../../action/runner/time.ts";
import { RecordedConsole } from "./recorded-console.ts";
import { configOf, never, type Workspace } from "./workspace.ts";

export interface JobParts {
  /** Keys of cutover.yml. */
  config?: object;
  platform?: NodeJS.Platform;
  /** The inputs, as the runner passes them; a dry run unless given. */
  inputs?: Record<string, string>;
  console?: RecordedConsole;
}

/** A job for the project in `p` that sends nothing. pip takes wheels from `house` alone. */
export function jobIn(space: Workspace, { config = {}, platform = "linux", inputs, console }: JobParts = {}): Job {
  const env = { PATH: "/usr/bin:/bin", PIP_NO_INDEX: "1", PIP_FIND_LINKS: space.at("house"), RUNNER_TEMP: space.path };
  return {
    inputs: readInputs(inputs ?? { "INPUT_DRY-RUN": "true" }),
    config: configOf(config),
    at: () => ({ line: 1, column: 1 }),
    directory: space.at("p"),
    early: [],
    advice: Promise.resolve([]),
    report: newJobReport("deploy", 0),
    effects: {
      env,
      platform,
      now: Date.now,
      exec: execute,
      connect: () => {
        throw new Error("nothing is sent");
      },
      log: new Log(console ?? new RecordedConsole()),
      signal: never,
      cancelled: never,
      time: realTime,
    },
  };
}
