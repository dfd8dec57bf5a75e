import type { ProgramState } from "./privileged.ts";

/** An instance or a process of the live release that does not run. */
export interface DownInstance {
  /** `web-0`, or a process such as `worker-1`. */
  name: string;
  state: ProgramState;
  /** Why, as far as anybody knows; may be empty. */
  detail: string;
}

/** What the supervision of the live releases tells: of an app whose instances do not run, and when all run again. */
export interface InstancesReport {
  event: "instances_down" | "instances_up";
  app: string;
  run: string;
  /** Those that do not run; with `instances_up` those that did not. */
  instances: DownInstance[];
  /** When the first of them was seen down, in ISO 8601. */
  since: string;
}
