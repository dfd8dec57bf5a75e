import { randomBytes } from "node:crypto";
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import {
  type Actor,
  type DeploymentEvent,
  type DeploymentKind,
  type DeploymentState,
  type DeploymentView,
  type Outcome,
  toFailure,
} from "../../shared/protocol.ts";
import type { Clock, EventFiles } from "../contracts/ports.ts";

/** What an event is before it has its number and time. */
type EventBody = DeploymentEvent extends infer E ? (E extends DeploymentEvent ? Omit<E, "id" | "at"> : never) : never;

/** Characters of output that a deployment keeps, and what each line counts beside its own. */
const outputLimit = 4 * 1024 ** 2;
const perLine = 100;

interface DeploymentParts {
  clock: Clock;
  files: EventFiles;
  view: DeploymentView;
  /** Events of an earlier life of the agent. */
  past?: DeploymentEvent[];
}

/** 16 random bytes: who knows them may follow the deployment. None begins with `-`, which a command line takes for an option. */
export function newDeploymentId(): string {
  return randomBytes(16).toString("base64url").replace(/^-/, "_");
}

/** One deployment while it runs: where it stands, its events and those who follow them, and whether it was aborted. */
export class Deployment {
  readonly #clock: Clock;
  readonly #files: EventFiles;
  readonly #events: DeploymentEvent[];
  readonly #abort = new AbortController();
  readonly #watch = new AbortController();
  #view: DeploymentView;
  #last: number;
  #output = 0;
  #changed = Promise.withResolvers<void>();
  /** What the token was signed for: the same bundle sent again is the same deployment. */
  digest: string | undefined;
  /** Why it could be neither finished nor undone yet. */
  trouble: string | undefined;

  constructor({ clock, files, view, past = [] }: DeploymentParts) {
    this.#clock = clock;
    this.#files = files;
    this.#view = view;
    this.#events = past;
    this.#last = clock.elapsed();
  }

  static start(parts: {
    clock: Clock;
    files: EventFiles;
    app: string;
    kind: DeploymentKind;
    release?: string;
    weight?: number;
    by: Actor;
  }): Deployment {
    const { clock, files, app, kind, release, weight, by } = parts;
    const view: DeploymentView = {
      id: newDeploymentId(),
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
    return new Deployment({ clock, files, view });
  }

  get id(): string {
    return this.#view.id;
  }

  get app(): string {
    return this.#view.app;
  }

  get view(): DeploymentView {
    return structuredClone(this.#view);
  }

  get state(): DeploymentState {
    return this.#view.state;
  }

  get outcome(): Outcome {
    return this.#view.outcome;
  }

  /** Aborted when the deployment was, for whatever reason. Not looked at after the cutover. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether it has reached this state, in this life of the agent or in an earlier one. */
  has(state: DeploymentState): boolean {
    return this.#view.phases.some((phase) => phase.state === state);
  }

  abort(reason: CutoverError): void {
    this.#abort.abort(reason);
  }

  /** Aborted when what has cut over is not watched any longer. */
  get watchEnded(): AbortSignal {
    return this.#watch.signal;
  }

  endWatch(): void {
    this.#watch.abort();
  }

  /** Time since the last state counts from now: waiting for the lock is nobody's phase. */
  restartClock(): void {
    this.#last = this.#clock.elapsed();
  }

  named(release: string): void {
    this.#view.release = release;
  }

  /** Only once: what is done again after a restart is no news. */
  reached(state: DeploymentState, note?: string): void {
    if (this.has(state)) return;
    const now = this.#clock.elapsed();
    const took = now - this.#last;
    this.#last = now;
    this.#view.state = state;
    this.#view.phases.push({ state, took });
    this.#emit({ type: "state", state, took, ...(note !== undefined && { note }) });
  }

  notice(message: string): void {
    this.#emit({ type: "notice", message });
  }

  /** A command that prints without end must fill neither the memory nor the disk. */
  output(source: string, line: string): void {
    if (this.#output > outputLimit) return;
    this.#output += line.length + perLine;
    if (this.#output <= outputLimit) this.#emit({ type: "output", source, line });
    else this.notice("there was more output than is kept: the rest is left out");
  }

  cut(requests: number): void {
    this.#view.cut = (this.#view.cut ?? 0) + requests;
  }

  drained(requests: number): void {
    this.#view.drained = (this.#view.drained ?? 0) + requests;
  }

  /** How it ended. Followers hear of it from `announce`, when it is on disk. */
  conclude(outcome: Exclude<Outcome, "running">, thrown?: unknown): void {
    this.#view.outcome = outcome;
    this.#view.finished = new Date(this.#clock.now()).toISOString();
    if (thrown !== undefined) this.#view.failure = toFailure(asCutoverError(thrown));
  }

  /** The last event; nothing comes after it but a staged release's abort. */
  announce(): void {
    this.#emit({ type: "end", deployment: this.view });
  }

  /** Events after the given one, those of the past first, until the last or until the signal. */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    let index = this.#events.findIndex(({ id }) => id > after);
    if (index < 0) index = this.#events.length;
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    while (!signal.aborted) {
      const event = this.#events[index];
      if (event !== undefined) {
        index++;
        yield event;
      } else if (this.#events.at(-1)?.type === "end") {
        return;
      } else {
        await Promise.race([this.#changed.promise, stopped]);
      }
    }
  }

  #emit(body: EventBody): void {
    const event: DeploymentEvent = {
      ...body,
      id: (this.#events.at(-1)?.id ?? 0) + 1,
      at: new Date(this.#clock.now()).toISOString(),
    };
    this.#events.push(event);
    this.#files.append(this.app, this.id, event);
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}

export function aborted(by: string): CutoverError {
  return new CutoverError("aborted", `The deployment was aborted by ${by} before the cutover.`, {
    unchanged: "The live release goes on serving; what was started is stopped again.",
  });
}
