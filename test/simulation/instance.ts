import type { Behaviour } from "./bundle.ts";
import type { Timeline } from "./timeline.ts";

export type Mode = "booting" | "well" | "answers-500" | "hangs" | "gone";

interface Parts {
  timeline: Timeline;
  pid: number;
  app: string;
  run: string;
  name: string;
  process: string | undefined;
  /** Where it listens; undefined for a process, which serves nothing. */
  address: string | undefined;
  behaviour: Behaviour;
  /** Of the processor, while it boots. */
  share: "low" | "full";
  onExit(signalled: boolean): void;
}

/** One process that supervisord has started: a web instance, or a worker. */
export class Instance {
  readonly parts: Parts;
  mode: Mode = "booting";
  stopping = false;
  /** Of the processor: a new run's instances have less, until the agent gives them all. */
  share: "low" | "full";
  /** When each of its open connections ends, in elapsed milliseconds. */
  connections: number[] = [];
  /** When it was last well. */
  lastWell = Number.NEGATIVE_INFINITY;

  constructor(parts: Parts) {
    this.parts = parts;
    const { behaviour, timeline, process } = parts;
    this.share = parts.share;
    const { fault, bootMs, laterMs } = behaviour;
    const exitsAtOnce = process === undefined ? fault === "exits" : fault === "worker";
    if (exitsAtOnce) timeline.after(80, () => this.die("exited"));
    else timeline.after(bootMs, () => this.#booted());
    if (process === undefined && fault.endsWith("-later")) timeline.after(laterMs, () => this.#turnsBad());
  }

  get running(): boolean {
    return this.mode !== "gone";
  }

  get listens(): boolean {
    return this.mode !== "gone" && this.mode !== "booting";
  }

  get well(): boolean {
    return this.mode === "well";
  }

  open(): number {
    const now = this.parts.timeline.elapsed;
    if (this.connections.length > 0) this.connections = this.connections.filter((end) => end > now);
    return this.connections.length;
  }

  connect(ms: number): void {
    if (this.connections.length > 200) this.open();
    this.connections.push(this.parts.timeline.elapsed + ms);
  }

  /** It was asked to end. */
  stop(): void {
    if (this.stopping || !this.running) return;
    this.stopping = true;
    const { stops } = this.parts.behaviour;
    if (stops === "never") return;
    this.parts.timeline.after(stops === "slowly" ? 1500 : 10, () => this.die("exited"));
  }

  die(how: "exited" | "killed"): void {
    if (!this.running) return;
    if (this.mode === "well") this.lastWell = this.parts.timeline.elapsed;
    this.mode = "gone";
    this.connections = [];
    this.parts.onExit(how === "killed");
  }

  /** It answers badly for a while, or for ever. */
  turn(mode: "answers-500" | "hangs"): void {
    if (!this.listens) return;
    if (this.mode === "well") this.lastWell = this.parts.timeline.elapsed;
    this.mode = mode;
  }

  mend(): void {
    if (this.mode === "answers-500" || this.mode === "hangs") this.mode = "well";
  }

  #booted(): void {
    if (this.mode !== "booting") return;
    const { fault } = this.parts.behaviour;
    this.mode = fault === "hangs" ? "hangs" : fault === "answers-500" ? "answers-500" : "well";
  }

  #turnsBad(): void {
    const { fault } = this.parts.behaviour;
    if (fault === "exits-later") this.die("exited");
    else if (fault === "answers-500-later") this.turn("answers-500");
    else this.turn("hangs");
  }
}
