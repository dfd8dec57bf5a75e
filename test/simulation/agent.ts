import { Deployments } from "../../agent/deploy/deployments.ts";
import type { Logger } from "../../agent/logger.ts";
import { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import { endLife, type Life } from "./life.ts";
import { portsFor } from "./ports.ts";
import type { Upload } from "./unpack.ts";

/** A process that has done its last work is gone after this long, as in agent/main.ts. */
const leavingMs = 100;
/** How long an agent that is asked to stop has for a safe point, as in agent/main.ts. */
const safePointMs = 7500;

/** The real agent on the simulated host, from one life to the next. */
export class Agent {
  /** undefined while it is down. */
  service: Deployments | undefined;
  stopping = false;
  /** Told when a life has ended, so that its callers wait no longer. */
  onDeath: () => void = () => {};
  readonly uploads = new WeakMap<object, Upload>();
  readonly #host: Host;
  #life: Life | undefined;
  #ids = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  get up(): boolean {
    return this.service !== undefined && !this.stopping;
  }

  start(): void {
    if (this.service !== undefined) return;
    const host = this.#host;
    const life: Life = { alive: true, listening: new Set(), kill: () => this.kill() };
    const { timeline, chances, faults } = host;
    const effects = new Effects({ timeline, chances, faults, trace: (line) => host.note(line) }, life);
    const newId = () => `sim${String(++this.#ids).padStart(19, "0")}`;
    this.#life = life;
    this.stopping = false;
    this.service = new Deployments({ ports: portsFor(host, effects, this.uploads), log: silent(host, life), newId });
    host.watcher.started();
    host.note("the agent starts");
    this.#begin(this.service, life).catch((thrown: unknown) => host.note(`recoverAll failed: ${thrown}`));
  }

  /** As in agent/main.ts. */
  async #begin(service: Deployments, life: Life): Promise<void> {
    await service.recoverAll();
    if (life.alive && !this.stopping) service.supervision.start();
  }

  /** SIGKILL. */
  kill(): void {
    if (this.#life === undefined) return;
    endLife(this.#life);
    this.#life = undefined;
    this.service = undefined;
    this.stopping = false;
    this.#host.watcher.killed();
    this.#host.note("the agent is killed");
    this.onDeath();
  }

  /** SIGTERM. What has no safe point in time is left in the middle. */
  stop(): void {
    const { service } = this;
    const life = this.#life;
    if (service === undefined || life === undefined || this.stopping) return;
    this.stopping = true;
    this.#host.note("the agent is asked to stop");
    const end = () => {
      if (!life.alive) return;
      endLife(life);
      this.#life = undefined;
      this.service = undefined;
      this.stopping = false;
      this.#host.watcher.gone();
      this.#host.note("the agent has stopped");
      this.onDeath();
    };
    const leave = () => void this.#host.timeline.after(leavingMs, end);
    service.close().then(leave, leave);
    this.#host.timeline.after(safePointMs, end);
  }
}

/** A log into the trace, if there is one. */
function silent(host: Host, life: Life): Logger {
  const say = (...words: unknown[]) => {
    if (host.trace === undefined || !life.alive) return;
    const [first, text] = words;
    const err = (first as { err?: unknown }).err;
    host.note(
      `  log: ${String(text ?? first)}${err === undefined ? "" : ` ${err instanceof Error ? err.message : String(err)}`}`,
    );
  };
  const log = { info: () => {}, warn: say, error: say, child: () => log };
  return log as unknown as Logger;
}
