import prettyBytes from "pretty-bytes";
import prettyMilliseconds from "pretty-ms";
import type { ReportedState } from "../../shared/deployment-states.ts";
import type { Log } from "../runner/log.ts";

/** What the deployment does to reach each state, as a heading. */
export const activities: Record<ReportedState, string> = {
  received: "receive",
  verified: "verify",
  unpacked: "unpack",
  built: "build the environment",
  released: "release command",
  started: "start the instances",
  healthy: "health check",
  cut_over: "cut over",
  drained: "drain the old instances",
  retired: "retire the old instances",
  done: "finish",
};

const progressEveryMs = 2000;

/**
 * `live`: lines are printed as they come. `groups`: a group for each phase, when it ends. `quiet`: of many hosts, nobody reads
 * the phases of each; what a host said last is printed if it fails.
 */
export type LogMode = "live" | "groups" | "quiet";

/** So many lines of a quiet host are kept for its failure. */
const keptLines = 40;

/**
 * One host's part of the log: a line for each phase, and a group for one that printed something. Groups cannot interleave, so
 * with several hosts the lines of a phase are kept until it ends; with one host they are printed as they come.
 */
export class HostLog {
  readonly #log: Log;
  readonly #host: string;
  readonly #live: boolean;
  readonly #quiet: boolean;
  readonly #elapsed: () => number;
  #lines: string[] = [];
  #open = false;
  #progressAt = Number.NEGATIVE_INFINITY;
  /** How large the upload of this phase is. */
  #sent: string | undefined;

  /** @param elapsed milliseconds since some moment */
  constructor(log: Log, host: string, mode: LogMode, elapsed = () => performance.now()) {
    this.#elapsed = elapsed;
    this.#log = log;
    this.#host = host;
    this.#live = mode === "live";
    this.#quiet = mode === "quiet";
  }

  /** @param activity the phase that the line belongs to: the heading, if the line opens a group */
  output(activity: string, text: string): void {
    if (!this.#live) {
      this.#lines.push(text);
      if (this.#quiet && this.#lines.length > keptLines) this.#lines.shift();
      return;
    }
    if (!this.#open) this.#log.startGroup(`${this.#host}: ${activity}`);
    this.#open = true;
    this.#log.untrusted(text);
  }

  /** The progress of an upload: at most one line in two seconds. The phase's own line has the size. */
  progress(sent: number, size: number): void {
    if (this.#quiet) return;
    this.#sent = prettyBytes(size);
    const now = this.#elapsed();
    if (now - this.#progressAt < progressEveryMs) return;
    const first = this.#progressAt === Number.NEGATIVE_INFINITY;
    this.#progressAt = now;
    // A small bundle has arrived before anybody asks how far it is.
    if (first || sent >= size) return;
    const percent = Math.floor((sent / size) * 100);
    this.#log.line(`${this.#host}: upload ${percent} % (${prettyBytes(sent)} of ${prettyBytes(size)})`);
  }

  /** Ends the phase: a line, or a group if something was printed in it. @param note untrusted */
  phase(activity: string, took: number, note?: string): void {
    if (this.#quiet) return;
    const line = `${this.#host}: ${activity} (${prettyMilliseconds(took)})`;
    const more = note ?? this.#sent;
    const said = more === undefined ? line : `${line}: ${more}`;
    this.#sent = undefined;
    if (this.#open) {
      this.#log.line(said);
      this.#log.endGroup();
    } else if (this.#lines.length > 0) {
      this.#log.startGroup(said);
      for (const each of this.#lines) this.#log.untrusted(each);
      this.#log.endGroup();
    } else {
      this.#log.endGroup();
      this.#log.line(said);
    }
    this.#reset();
  }

  /** A line of our own between the phases. */
  line(text: string): void {
    if (this.#live) this.#log.endGroup();
    this.#open = false;
    this.#log.line(`${this.#host}: ${text}`);
  }

  /** An annotation for what should be looked at, although the deployment goes on. @param text untrusted */
  warning(text: string): void {
    this.#log.warn(text, { title: this.#host });
    this.#open = false;
  }

  /** Prints the lines of a phase that did not end. */
  flush(activity: string): void {
    if (this.#lines.length > 0) {
      this.#log.startGroup(`${this.#host}: ${activity} (not finished)`);
      for (const line of this.#lines) this.#log.untrusted(line);
    }
    if (this.#open || this.#lines.length > 0) this.#log.endGroup();
    this.#reset();
  }

  #reset(): void {
    this.#lines = [];
    this.#open = false;
  }
}
