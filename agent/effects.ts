import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DeploymentState, deploymentStates } from "../shared/deployment-states.ts";
import { CutoverError } from "../shared/errors.ts";

/**
 * What the agent does to a host, each effect by its name, so that a test can kill the agent or fail it exactly there and
 * see what becomes of the site (test/torture). In production an effect is a plain call of its work.
 */
const named = [
  // The app and a bundle's way to a release
  "app.prepare",
  "app.remove",
  "directory.make",
  "bundle.clear",
  "bundle.spool",
  "bundle.file",
  "bundle.static",
  "bundle.drop",
  "release.rename",
  "release.sync",
  "release.aside",
  "release.remove",
  "release.command",
  "tree.give",
  "tree.seal",
  // Its environment
  "environment.clear",
  "environment.build",
  "environment.complete",
  "environment.link",
  "environment.bytecode",
  "environment.remove",
  // Its instances and processes: files, and supervisord's calls
  "ports.reserve",
  "ports.release",
  "run.prepare",
  "launch.create",
  "launch.write",
  "launch.sync",
  "programs.write",
  "programs.reload",
  "programs.add",
  "programs.start",
  "programs.stop",
  "programs.unlink",
  "programs.remove",
  "process.unlink",
  "run.kill",
  "launch.remove",
  "run.remove",
  // Traffic
  "links.publish",
  "slots.prepare",
  "slots.swap",
  "slots.tidy",
  "nginx.keep",
  "site.write",
  "upstream.write",
  "site.restore",
  "site.remove",
  "nginx.reload",
  "nginx.forget",
  "maintenance.allow",
  "maintenance.begin",
  "maintenance.end",
  "maintenance.remove",
  // What is remembered
  "events.append",
  "events.collect",
  "logs.collect",
  "audit.open",
  "audit.append",
  "audit.rotate",
  "token.spend",
  "token.rewrite",
  "state.copy",
  // Within each file and link that is written durably
  "durable.clear",
  "durable.create",
  "durable.write",
  "durable.sync",
  "durable.rename",
  "durable.sync-directory",
  "durable.symlink",
  "durable.link",
] as const;
export type NamedEffect = (typeof named)[number];

/**
 * state.json is written before each step, and is named by the state that it tells of: `verdict` from when a watch has
 * failed, `idle` where no deployment is open.
 */
const written = [...deploymentStates, "verdict", "idle"] as const;
type StateEffect = `state.write:${DeploymentState | "verdict" | "idle"}`;
export type Effect = NamedEffect | StateEffect;

export const effects: readonly Effect[] = [...named, ...written.map((state): StateEffect => `state.write:${state}`)];

/**
 * What happens at an effect: the agent is killed before or after it, it fails with an error of the system before it has
 * happened, or it happens and its answer is lost.
 */
export type Fault = "kill-before" | "kill-after" | "lose" | `fail-${"ENOSPC" | "EIO" | "EMFILE" | "ECONNRESET"}`;

/** The directory with the file `fault`, which says what is to happen once, and `effects`, which gets a line for each effect. */
let faults: string | undefined;

/**
 * For tests alone: from now on effects look into this directory. `fault` holds `<fault> <effect>`, or with ` <n>` its n-th
 * time from then on, and is removed when it strikes.
 * @throws CutoverError host_settings_invalid on a real host, where nothing may kill the agent on purpose
 */
export function armFaults(directory: string, { embedded }: { embedded: boolean }): void {
  if (!embedded) {
    throw new CutoverError("host_settings_invalid", "CUTOVER_FAULTS is set, which is for tests of --embedded alone.", {
      unchanged: "The agent did not start; the sites go on serving.",
      fix: "Take CUTOVER_FAULTS out of the agent's environment.",
    });
  }
  faults = directory;
}

/** @param what of several of the name, such as a file's path */
export function effect<T>(name: Effect, work: () => Promise<T>, what = ""): Promise<T> {
  return faults === undefined ? work() : faulty(new FaultDirectory(faults), name, what, work);
}

/** The same for what is done at once. */
export function effectNow<T>(name: Effect, work: () => T, what = ""): T {
  if (faults === undefined) return work();
  const directory = new FaultDirectory(faults);
  const fault = directory.before(name, what);
  const result = work();
  directory.after(name, what, fault);
  return result;
}

async function faulty<T>(directory: FaultDirectory, name: Effect, what: string, work: () => Promise<T>): Promise<T> {
  const fault = directory.before(name, what);
  const result = await work();
  directory.after(name, what, fault);
  return result;
}

class FaultDirectory {
  readonly #fault: string;
  readonly #log: string;

  constructor(directory: string) {
    this.#fault = join(directory, "fault");
    this.#log = join(directory, "effects");
  }

  before(name: Effect, what: string): Fault | undefined {
    this.#tell("before", name, what);
    const fault = this.#struck(name);
    if (fault === "kill-before") process.kill(process.pid, "SIGKILL");
    if (fault?.startsWith("fail-")) throw systemError(fault.slice("fail-".length), name);
    return fault;
  }

  after(name: Effect, what: string, fault: Fault | undefined): void {
    this.#tell("after", name, what);
    if (fault === "kill-after") process.kill(process.pid, "SIGKILL");
    if (fault === "lose") throw systemError("ECONNRESET", name);
  }

  /** The time in milliseconds tells which effects follow each other without a wait between them. */
  #tell(when: "before" | "after", name: Effect, what: string): void {
    appendFileSync(this.#log, `${performance.now().toFixed(1)} ${when} ${name} ${what}\n`);
  }

  /** Each time counts the file's number down, by a rename; at the last the file goes, and the fault strikes. */
  #struck(name: Effect): Fault | undefined {
    let text: string;
    try {
      text = readFileSync(this.#fault, "utf8");
    } catch {
      return undefined;
    }
    const [fault, wanted, times = "1"] = text.trim().split(" ");
    if (wanted !== name) return undefined;
    if (Number(times) === 1) {
      rmSync(this.#fault);
      return fault as Fault;
    }
    writeFileSync(`${this.#fault}.tmp`, `${fault} ${wanted} ${Number(times) - 1}\n`);
    renameSync(`${this.#fault}.tmp`, this.#fault);
    return undefined;
  }
}

function systemError(code: string, name: Effect): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: on purpose, at ${name}`), { code });
}
