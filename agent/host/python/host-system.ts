import { machine } from "node:os";
import type { HostView } from "../../../shared/protocol.ts";
import type { HostSystem } from "../../contracts/ports.ts";
import { runTool } from "../exec/run-tool.ts";
import { Interpreters } from "./interpreter.ts";

/** How long an answer holds: a status is asked for every second, and a Python is installed once in months. */
const holdsMs = 60_000;

/** The Pythons and the C library of this host, and its processes. */
export class PythonSystem implements HostSystem {
  readonly #interpreters: Interpreters;
  #answer: { until: number; view: Promise<HostView> } | undefined;

  constructor(pythonPath: string[]) {
    this.#interpreters = new Interpreters(pythonPath);
  }

  view(): Promise<HostView> {
    const now = performance.now();
    if (this.#answer === undefined || this.#answer.until < now) {
      this.#answer = { until: now + holdsMs, view: this.#look() };
    }
    return this.#answer.view;
  }

  async running(pids: number[]): Promise<boolean> {
    return pids.every(exists);
  }

  async #look(): Promise<HostView> {
    const [glibc, pythons] = await Promise.all([glibcVersion(), this.#interpreters.versions()]);
    return { machine: machine(), ...(glibc !== undefined && { glibc }), pythons };
  }
}

/** The agent's unit hides other users' processes in /proc. A signal to one of them is refused, and to one that is gone it fails. */
function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function glibcVersion(): Promise<string | undefined> {
  const answer = await runTool("getconf", ["GNU_LIBC_VERSION"], { timeoutMs: 5000 }).catch(() => undefined);
  return /^glibc (\d+\.\d+)/.exec(answer?.stdout ?? "")?.[1];
}
