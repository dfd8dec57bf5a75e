import { CutoverError } from "../../shared/errors.ts";
import type { Behaviour } from "./bundle.ts";
import { Instance } from "./instance.ts";
import type { Chances } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** A programs file of cutover's, as supervisord reads it. */
export interface ProgramsFile {
  app: string;
  run: string;
  /** One of the run's processes; undefined for its web instances. */
  process: string | undefined;
  names: string[];
  /** Where each instance listens; empty for processes. */
  addresses: string[];
  stopMs: number;
  behaviour: Behaviour;
}

export type ProgramState = "STOPPED" | "STARTING" | "RUNNING" | "BACKOFF" | "STOPPING" | "EXITED" | "FATAL";

export interface Program {
  name: string;
  group: string;
  file: ProgramsFile;
  state: ProgramState;
  instance: Instance | undefined;
  /** How often it ended before startsecs were over. */
  backoff: number;
  spawned: number;
  detail: string;
  /** It ended last by a signal. */
  signalled: boolean;
}

const startMs = 1000;
/** supervisord's loop turns at least this often. */
const turnMs = 1000;

interface Parts {
  timeline: Timeline;
  chances: Chances;
  newPid(): number;
  /** What programs of this file do now: a release may be torn since. */
  behaviourOf(file: ProgramsFile): Behaviour;
  /** Whether the launch files of a run were written a moment ago, by the wall clock. */
  isNew(file: ProgramsFile): boolean;
  /** An instance starts, whoever asked for that. */
  onSpawn?(address: string): void;
}

/**
 * supervisord, by its source (4.2.5) and its manual: a program goes STOPPED -> STARTING -> RUNNING; one that ends before
 * `startsecs` goes to BACKOFF, where it waits longer after each try, and with our `startretries` never to FATAL; one that
 * ends later goes to EXITED and is started again.
 */
export class Supervisord {
  /** The files in its include directory: these outlive it. */
  readonly files = new Map<string, ProgramsFile>();
  /** Somebody else's file that it cannot read. */
  brokenFile = false;
  up = true;
  readonly groups = new Map<string, Program[]>();
  /** What it read last. */
  #read = new Map<string, ProgramsFile>();
  #life = 0;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  // Calls, as over XML-RPC

  reloadConfig(): void {
    this.#assertUp();
    if (this.brokenFile) throw new CutoverError("supervisor_config_broken", "supervisord cannot read another file.");
    this.#read = new Map(this.files);
  }

  /** @returns false if the group is there already */
  addProcessGroup(group: string): boolean {
    this.#assertUp();
    if (this.groups.has(group)) return false;
    const file = this.#read.get(group);
    if (file === undefined) throw new CutoverError("supervisor_config_broken", `supervisord did not find ${group}.`);
    this.#add(group, file);
    // autostart: at the next turn of the loop.
    this.#later(turnMs, () => this.#startGroup(group));
    return true;
  }

  startProcessGroup(group: string): void {
    this.#assertUp();
    this.#startGroup(group);
  }

  /** `startProcess` for each program of a run that it gave up on, and with `stopped` for those that were stopped. */
  revive(web: string, stopped: boolean): void {
    this.#assertUp();
    for (const program of [...this.groups.values()].flat()) {
      if (program.group !== web && !program.group.startsWith(`${web}+`)) continue;
      if (program.state !== "FATAL" && !(stopped && program.state === "STOPPED")) continue;
      program.backoff = 0;
      this.#spawn(program);
    }
  }

  stopProcessGroup(group: string): boolean {
    this.#assertUp();
    const programs = this.groups.get(group);
    for (const program of programs ?? []) this.#stop(program);
    return programs !== undefined;
  }

  removeProcessGroup(group: string): "removed" | "unknown" | "running" {
    this.#assertUp();
    const programs = this.groups.get(group);
    if (programs === undefined) return "unknown";
    if (programs.some(({ state }) => !ended.has(state))) return "running";
    this.groups.delete(group);
    return "removed";
  }

  info(group: string): Program[] | undefined {
    this.#assertUp();
    return this.groups.get(group);
  }

  // What happens to it

  /** Somebody restarts it: all programs are stopped, and those whose file is there start. */
  restart(downMs: number): void {
    if (!this.up) return;
    for (const programs of this.groups.values()) for (const program of programs) this.#stop(program);
    this.#parts.timeline.after(300, () => this.crash());
    this.#parts.timeline.after(300 + downMs, () => this.boot());
  }

  /** It and its programs are gone. */
  crash(): void {
    this.up = false;
    this.#life++;
    for (const programs of this.groups.values()) for (const { instance } of programs) instance?.die("killed");
    this.groups.clear();
  }

  boot(): void {
    if (this.up) return;
    if (this.brokenFile) return void this.#parts.timeline.after(2000, () => this.boot());
    this.up = true;
    this.#life++;
    this.#read = new Map(this.files);
    for (const [group, file] of this.#read) {
      this.#add(group, file);
      this.#startGroup(group);
    }
  }

  /** All instances of a run that are up. */
  *instances(app: string, run: string): Generator<Instance> {
    for (const programs of this.groups.values()) {
      for (const { file, instance } of programs) {
        if (file.app === app && file.run === run && file.process === undefined && instance?.running) yield instance;
      }
    }
  }

  #assertUp(): void {
    if (!this.up) {
      throw new CutoverError("supervisor_unreachable", "supervisord is not running: its socket is not there.");
    }
  }

  #add(group: string, file: ProgramsFile): void {
    const programs = file.names.map((name): Program => {
      const fresh = { backoff: 0, spawned: 0, detail: "", signalled: false, instance: undefined };
      return { name, group, file, state: "STOPPED", ...fresh };
    });
    this.groups.set(group, programs);
  }

  #startGroup(group: string): void {
    for (const program of this.groups.get(group) ?? []) {
      if (program.state === "STARTING" || program.state === "RUNNING" || program.state === "STOPPING") continue;
      if (program.state === "BACKOFF") continue;
      program.backoff = 0;
      this.#spawn(program);
    }
  }

  #spawn(program: Program): void {
    const { timeline, newPid, behaviourOf, isNew } = this.#parts;
    const { file, name } = program;
    const index = file.names.indexOf(name);
    const instance = new Instance({
      timeline,
      pid: newPid(),
      app: file.app,
      run: file.run,
      name,
      process: file.process,
      address: file.addresses[index],
      behaviour: behaviourOf(file),
      share: file.process === undefined && isNew(file) ? "low" : "full",
      onExit: (signalled) => this.#exited(program, instance, signalled),
    });
    program.state = "STARTING";
    const address = file.addresses[index];
    if (address !== undefined) this.#parts.onSpawn?.(address);
    program.spawned = timeline.elapsed;
    program.instance = instance;
    this.#later(startMs, () => {
      if (program.instance === instance && program.state === "STARTING") program.state = "RUNNING";
    });
  }

  #exited(program: Program, instance: Instance, signalled: boolean): void {
    if (program.instance !== instance || this.groups.get(program.group)?.includes(program) !== true) return;
    program.instance = undefined;
    program.signalled = signalled;
    if (program.state === "STOPPING") {
      program.state = "STOPPED";
      return;
    }
    if (program.state === "STARTING") {
      program.backoff++;
      program.detail = "Exited too quickly (process log may have details)";
      program.state = "BACKOFF";
      this.#later(program.backoff * 1000, () => program.state === "BACKOFF" && this.#spawn(program));
      return;
    }
    program.state = "EXITED";
    const wait = this.#parts.chances.of("supervisord").int(turnMs);
    this.#later(wait, () => program.state === "EXITED" && this.#spawn(program));
  }

  #stop(program: Program): void {
    const { instance, file } = program;
    if (program.state === "BACKOFF" || program.state === "EXITED") program.state = "STOPPED";
    if (instance === undefined || program.state === "STOPPING") return;
    program.state = "STOPPING";
    instance.stop();
    this.#later(file.stopMs, () => instance.die("killed"));
  }

  /** Only while this supervisord lives. */
  #later(ms: number, run: () => void): void {
    const life = this.#life;
    this.#parts.timeline.after(ms, () => life === this.#life && run());
  }
}

const ended = new Set<ProgramState>(["STOPPED", "EXITED", "FATAL"]);
