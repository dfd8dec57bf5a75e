import { randomBytes } from "node:crypto";
import { type DeploymentState, isAtLeast, type ReportedState, reported } from "../../shared/deployment-states.ts";
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import {
  type Actor,
  type DeploymentEvent,
  type DeploymentKind,
  type DeploymentRequests,
  type DeploymentView,
  type Outcome,
  toFailure,
} from "../../shared/protocol.ts";
import type { Clock, EventFiles } from "../contracts/ports.ts";
import { EventLog } from "./event-log.ts";
import type { DeploymentRecord } from "./state-format.ts";

/** What an event is before it has its number and time. */
type EventBody = DeploymentEvent extends infer E ? (E extends DeploymentEvent ? Omit<E, "id" | "at"> : never) : never;

/** Bytes of output that a deployment keeps, as they are in the file of its events. */
const outputLimit = 4 * 1024 ** 2;
/** What each line counts besides its own bytes. */
const perLine = 100;

interface DeploymentParts {
  clock: Clock;
  files: EventFiles;
  record: DeploymentView | DeploymentRecord;
  /** The number of its last event from before the agent was restarted. */
  lastEvent?: number;
}

/** 16 random bytes: who knows them may follow the deployment. None begins with `-`, since a command line takes that for an option. */
export function newDeploymentId(): string {
  return randomBytes(16).toString("base64url").replace(/^-/, "_");
}

/** One deployment while it runs: its state, its events, and whether it was aborted. */
export class Deployment {
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #abort = new AbortController();
  readonly #watch = new AbortController();
  readonly #record: DeploymentRecord;
  #last: number;
  #output = 0;
  /** What the token was signed for: the same bundle sent again is the same deployment. */
  digest: string | undefined;
  /** Why it could be neither finished nor undone yet. */
  trouble: string | undefined;

  constructor({ clock, files, record, lastEvent: last = 0 }: DeploymentParts) {
    this.#clock = clock;
    this.#record = structuredClone(record);
    this.#events = new EventLog({ files, app: record.app, deployment: record.id, last });
    this.#last = clock.elapsed();
  }

  static start(parts: {
    id: string;
    clock: Clock;
    files: EventFiles;
    app: string;
    kind: DeploymentKind;
    release?: string;
    weight?: number;
    by: Actor;
  }): Deployment {
    const { id, clock, files, app, kind, release, weight, by } = parts;
    const record: DeploymentView = {
      id,
      app,
      kind,
      ...(release !== undefined && { release }),
      ...(weight !== undefined && { weight }),
      state: "received",
      outcome: "running",
      by,
      started: new Date(clock.now()).toISOString(),
      phases: [],
    };
    return new Deployment({ clock, files, record });
  }

  get id(): string {
    return this.#record.id;
  }

  get app(): string {
    return this.#record.app;
  }

  /** For callers. */
  get view(): DeploymentView {
    return { ...structuredClone(this.#record), state: reported(this.#record.state) };
  }

  /** For the journal. */
  get record(): DeploymentRecord {
    return structuredClone(this.#record);
  }

  get state(): DeploymentState {
    return this.#record.state;
  }

  get outcome(): Outcome {
    return this.#record.outcome;
  }

  /** Aborted when the deployment is aborted, for any reason. Nobody looks at it after the cutover. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Also when it got there before the agent was restarted. */
  isAtLeast(state: DeploymentState): boolean {
    return isAtLeast(this.#record.state, state);
  }

  abort(reason: CutoverError): void {
    this.#abort.abort(reason);
  }

  /** Aborts the deployment when the signal is aborted, until the result is disposed. */
  abortOn(signal: AbortSignal, reason: () => CutoverError): Disposable {
    const abort = () => this.abort(reason());
    signal.addEventListener("abort", abort, { once: true });
    return { [Symbol.dispose]: () => signal.removeEventListener("abort", abort) };
  }

  /** Aborted when the live run is no longer watched. */
  get watchEnded(): AbortSignal {
    return this.#watch.signal;
  }

  endWatch(): void {
    this.#watch.abort();
  }

  /** The time of the next state counts from now: waiting for the app's lock belongs to no phase. */
  restartClock(): void {
    this.#last = this.#clock.elapsed();
  }

  named(release: string): void {
    this.#record.release = release;
  }

  /** @param live the release that has the traffic now, and that an undo leaves there */
  beginsWith(live: string | null): void {
    this.#record.before = live;
  }

  /** Emitted once. A step that is repeated after a restart is not reported again. */
  reached(state: ReportedState, note?: string): void {
    if (this.isAtLeast(state)) return;
    const now = this.#clock.elapsed();
    const took = now - this.#last;
    this.#last = now;
    this.#record.state = state;
    this.#record.phases.push({ state, took });
    this.#emit({ type: "state", state, took, ...(note !== undefined && { note }) });
  }

  /** The traffic is about to move. Callers do not hear of it, the journal does. */
  cuttingOver(): void {
    if (!this.isAtLeast("cutting_over")) this.#record.state = "cutting_over";
  }

  /** The cutover was refused, and nothing has moved. The only way back to an earlier state. */
  notCuttingOver(): void {
    if (this.#record.state === "cutting_over") this.#record.state = "healthy";
  }

  notice(message: string): void {
    this.#emit({ type: "notice", message });
  }

  /** The same for what should be looked at, although the deployment goes on. */
  warning(message: string): void {
    this.#emit({ type: "notice", message, level: "warning" });
  }

  /** A command that prints without end must fill neither the memory nor the disk. */
  output(source: string, line: string): void {
    if (this.#output > outputLimit) return;
    this.#output += Buffer.byteLength(JSON.stringify(line)) + perLine;
    if (this.#output <= outputLimit) this.#emit({ type: "output", source, line });
    else this.notice("there was more output than is kept: the rest is left out");
  }

  cut(requests: number): void {
    this.#record.cut = (this.#record.cut ?? 0) + requests;
  }

  drained(requests: number): void {
    this.#record.drained = (this.#record.drained ?? 0) + requests;
  }

  /** What visitors saw of its release. */
  seen(requests: DeploymentRequests): void {
    this.#record.requests = requests;
  }

  /** How it ended. Followers hear of it from `announce`, when it is on disk. */
  conclude(outcome: Exclude<Outcome, "running">, thrown?: unknown): void {
    this.#record.outcome = outcome;
    this.#record.finished = new Date(this.#clock.now()).toISOString();
    if (thrown !== undefined) this.#record.failure = toFailure(asCutoverError(thrown));
  }

  /** The last event, unless a staged release is aborted later, or what could not be ended at once ends later. */
  announce(): void {
    this.#emit({ type: "end", deployment: this.view });
  }

  /** Its events, past ones first. */
  get events(): Pick<EventLog, "follow" | "settled" | "forget"> {
    return this.#events;
  }

  #emit(body: EventBody): void {
    this.#events.append({ ...body, at: new Date(this.#clock.now()).toISOString() });
  }
}

export function aborted(by: string): CutoverError {
  return new CutoverError("aborted", `The deployment was aborted by ${by} before the cutover.`, {
    unchanged: "The live release goes on serving; what was started is stopped again.",
  });
}
