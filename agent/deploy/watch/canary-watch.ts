import type { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";
import { runSpec } from "../context.ts";
import type { AppState } from "../state.ts";
import { giveFullShare } from "../steps/full-share.ts";
import { answerOf, checkEveryMs, failureReason, failuresInARow, faultOf, type RunFault } from "./run-health.ts";
import { judgeOfCanary, type VisitorsJudge } from "./visitors-judge.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  stateOf(app: string): Promise<AppState>;
  /** Takes the canary of this deployment back. */
  fail(deployment: string, reason: CutoverError): Promise<unknown>;
}

/** A canary while it is watched. */
interface Watched {
  run: string;
  deployment: string;
  stop: AbortController;
  /** The first pid of each program, and how many checks in a row have failed. */
  pids: Map<string, number>;
  failures: number;
  /** It was given the full share of the processor. */
  shared: boolean;
  /** It was tried once, so the log has it if it could not be given. */
  told: boolean;
  /** Its share of the traffic, and since when it has that, in milliseconds since the epoch. */
  step: Step;
  /** The step that `visitors` looks at. */
  judged?: Step;
  /** Undefined if nothing is to be judged. */
  visitors?: VisitorsJudge | undefined;
}

interface Step {
  weight: number;
  since: number;
}

/** Follows the health of each canary while it has a part of the traffic, also when the job that gave it that has ended. */
export class CanaryWatch {
  readonly #parts: Parts;
  readonly #watched = new Map<string, Watched>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Called whenever a deployment has ended, and at start. */
  async schedule(app: string): Promise<void> {
    const { staged } = await this.#parts.stateOf(app);
    const wanted = staged !== null && staged.weight > 0 ? staged.run : undefined;
    const watched = this.#watched.get(app);
    const step = { weight: staged?.weight ?? 0, since: this.#parts.ports.clock.now() };
    if (watched !== undefined && watched.run === wanted) {
      if (watched.step.weight !== step.weight) watched.step = step;
      return;
    }
    // A deployment that ends while the agent shuts down asks for a watch that nobody would stop. The next start begins it.
    if (this.#closed) return;
    watched?.stop.abort();
    this.#watched.delete(app);
    if (wanted === undefined || staged === null) return;
    const { deployment } = staged;
    const health = { pids: new Map<string, number>(), failures: 0, shared: false, told: false };
    const next = { run: wanted, deployment, stop: new AbortController(), ...health, step };
    this.#watched.set(app, next);
    void this.#watch(app, next);
  }

  /** The view with what is known of its visitors, if it is that of a canary. */
  judged(view: DeploymentView): DeploymentView {
    const watched = this.#watched.get(view.app);
    if (view.outcome !== "staged" || watched?.deployment !== view.id) return view;
    return { ...view, canary: { weight: watched.step.weight, ...this.#found(watched) } };
  }

  #found({ step, judged, visitors }: Watched): Omit<NonNullable<DeploymentView["canary"]>, "weight"> {
    if (judged !== step) return { verdict: "few", said: "no requests were counted yet" };
    if (visitors === undefined) return { verdict: "unjudged", said: "cutover.yml says that nothing is judged" };
    const spent = this.#parts.ports.clock.now() - step.since;
    return { verdict: visitors.last.kind, said: visitors.said(`${Math.round(spent / 1000)}s`) };
  }

  close(): void {
    this.#closed = true;
    for (const { stop } of this.#watched.values()) stop.abort();
    this.#watched.clear();
  }

  async #watch(app: string, watched: Watched): Promise<void> {
    const { ports, log } = this.#parts;
    const { run, stop } = watched;
    try {
      for (;;) {
        await ports.clock.sleep(checkEveryMs, stop.signal);
        // Its visitors compare it with the live run, which has the full share.
        watched.shared ||= await giveFullShare(ports, { app, run }, watched.told ? undefined : log);
        watched.told = true;
        const fault = (await this.#health(app, watched)) ?? (await this.#visitors(app, watched));
        stop.signal.throwIfAborted();
        if (fault !== undefined && (await this.#fail(app, watched, fault))) return;
      }
    } catch (err) {
      if (!stop.signal.aborted) log.error({ err, app, run }, "the canary could not be watched");
    } finally {
      if (this.#watched.get(app)?.run === run) this.#watched.delete(app);
    }
  }

  /** What is wrong with its instances. A question that is not answered says nothing of them, and does not end the watch. */
  async #health(app: string, watched: Watched): Promise<RunFault | undefined> {
    const { log } = this.#parts;
    const { run, pids } = watched;
    const fault = await answerOf(() => this.#look(app, run, pids), log);
    watched.failures = fault === undefined ? 0 : watched.failures + 1;
    if (fault === undefined) return undefined;
    log.warn({ app, run, fault, failures: watched.failures }, "the canary's check failed");
    return watched.failures >= failuresInARow ? { text: fault } : undefined;
  }

  /** What is wrong for its visitors. */
  #visitors(app: string, watched: Watched): Promise<RunFault | undefined> {
    return answerOf(() => this.#judge(app, watched), this.#parts.log);
  }

  async #look(app: string, run: string, pids: Map<string, number>): Promise<string | undefined> {
    const { ports, stateOf } = this.#parts;
    const spec = await runSpec({ ports, state: await stateOf(app) }, run);
    return faultOf(ports, await ports.apps.settings(app), spec, pids);
  }

  async #judge(app: string, watched: Watched): Promise<RunFault | undefined> {
    const { ports, stateOf } = this.#parts;
    const state = await stateOf(app);
    const { staged, live } = state;
    if (staged?.run !== watched.run || staged.weight === 0) return undefined;
    const { step } = watched;
    if (watched.judged !== step) {
      const { since } = step;
      const spec = await runSpec({ ports, state }, watched.run);
      // The looks go on counting, so that more steps take no more of the allowed error.
      if (watched.visitors === undefined) watched.visitors = judgeOfCanary(ports, { spec, baseline: live, since });
      else watched.visitors.restart(since);
      watched.judged = step;
    }
    const verdict = await watched.visitors?.look(step.weight);
    return verdict?.kind === "worse" ? watched.visitors?.fault(verdict) : undefined;
  }

  /** @returns false if it could not be taken back now, since a deployment holds the app: the watch goes on */
  async #fail(app: string, { run, deployment }: Watched, fault: RunFault): Promise<boolean> {
    const { ports, log, stateOf, fail } = this.#parts;
    try {
      const spec = await runSpec({ ports, state: await stateOf(app) }, run);
      await fail(deployment, await canaryFailed(ports, spec, fault));
      return true;
    } catch (err) {
      log.error({ err, app, run }, "the canary could not be taken back; it is tried again");
      return false;
    }
  }
}

function canaryFailed(ports: Ports, spec: RunSpec, fault: RunFault): Promise<CutoverError> {
  return failureReason(ports, spec, {
    ...{ code: "canary_failed", said: saidOf(spec, fault), fault },
    unchanged: "All traffic went back to the live release; the canary was drained, stopped and removed.",
  });
}

function saidOf({ release }: RunSpec, { code }: RunFault): string {
  return code === undefined ? `The canary ${release} failed its checks` : `The canary ${release} failed its visitors`;
}
