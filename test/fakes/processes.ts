import type { HostSystem } from "../../agent/contracts/ports.ts";
import type { ProcessGroup, ProgramState, ProgramStatus } from "../../agent/contracts/privileged.ts";

/** One of a run's processes on the fake host: how many programs of it there are, and since when it is asked to stop. */
export interface FakeProcess {
  run: string;
  process: string;
  instances: number;
  stopMs: number;
  asked: number | undefined;
}

export interface ProcessFacts {
  now: number;
  /** How long it takes to end when it is asked to, in milliseconds. */
  takes: number;
  /** supervisor's word for it until it is asked to stop. */
  state: ProgramState;
  restarts: number;
}

/** What supervisor would say of a process at this time. */
export function processGroup(
  { run, process, instances, stopMs, asked }: FakeProcess,
  { now, takes, state: running, restarts }: ProcessFacts,
): ProcessGroup {
  const waited = asked === undefined ? 0 : now - asked;
  const over = waited >= Math.min(takes, stopMs);
  const state = asked === undefined ? running : over ? "STOPPED" : "STOPPING";
  const pid = 200 + restarts;
  const programs = Array.from({ length: instances }, (_, index) => {
    const up = state === "RUNNING" || state === "STARTING";
    return {
      name: `${process}-${index}`,
      state,
      pid: up ? pid : 0,
      uptime: 1,
      detail: "",
      signalled: takes > stopMs,
    };
  });
  return { run, process, stopMs, programs };
}

/** @param programs the web instances; a process of a run is another one after each restart, so it is asked for each time */
export function fakeSystem(programs: () => ProgramStatus[]): HostSystem {
  return {
    view: async () => ({ machine: "x86_64", glibc: "2.36", pythons: ["3.11"] }),
    running: async (pids) => pids.every((wanted) => programs().some(({ pid }) => pid === wanted)),
  };
}
