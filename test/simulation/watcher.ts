import type { AppState } from "../../agent/deploy/state.ts";
import { mustFinish } from "../../shared/deployment-states.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { DeploymentEvent, DeploymentView } from "../../shared/protocol.ts";
import { checkSuccess, checkUnchanged } from "./claims.ts";
import { checkDivision } from "./fairness.ts";
import type { Host } from "./host.ts";
import { isUnread } from "./nginx.ts";
import { Removals } from "./removals.ts";

/** The invariants. README.md says what each means. */
export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9" | "I10";

export interface Broken {
  invariant: Invariant;
  message: string;
  /** In elapsed milliseconds. */
  at: number;
}

/** What an app's state file says, as far as invariants ask for it. */
export interface Facts {
  live: string | null;
  staged: { run: string; weight: number; deployment: string } | null;
  warm: { run: string; until: string } | null;
  journal: {
    id: string;
    run: string;
    from: string | null;
    state: DeploymentView["state"] | "cutting_over";
    onward: boolean;
    /** Its release failed, and the traffic goes back. */
    back: boolean;
  } | null;
  held: string | null;
}

const nothing: Facts = { live: null, staged: null, warm: null, journal: null, held: null };

/** What was on the host when a deployment had its turn. */
export interface Snapshot {
  facts: Facts;
  links: { current: string | null; previous: string | null };
  addresses: Set<string>;
}

/** Sees all that happens on the host, and says which invariant is broken first. */
export class Watcher {
  failure: Broken | undefined;
  /** Failures whose text has one of these are passed over: faults that are known and not mended yet. */
  tolerated: readonly string[] = [];
  readonly removing = new Removals();
  /** Kills of the agent and cuts of power so far. */
  kills = 0;
  /** Addresses of instances that the agent has stopped. */
  readonly stopped = new Set<string>();
  readonly ended = new Map<string, { view: DeploymentView; at: number }>();
  /** Deployments that had all of the traffic when the agent was killed. */
  readonly #moved = new Set<string>();
  /** Deployments of which was said that they go on. One that an agent has taken up is undone by a kill, as any other. */
  readonly #paused = new Set<string>();
  /** When each deployment's journal was opened. */
  readonly #opened = new Map<string, { at: number; kills: number }>();
  readonly #facts = new Map<string, Facts>();
  readonly #begun = new Map<string, Snapshot>();
  /** Deployments that have begun to start a run of another release than the one that was staged: it makes place for that. */
  readonly #placeMade = new Set<string>();
  /** The runs that each deployment has started. */
  readonly #startedIn = new Map<string, Set<string>>();
  /** Where the slots lead, and when an address lost its last slot. */
  readonly #addresses = new Map<string, Set<string>>();
  readonly #lost = new Map<string, number>();
  readonly #wellAt = new Map<string, number>();
  /** When this agent began; undefined while there is none. */
  #upSince: number | undefined;
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  broken(invariant: Invariant, message: string): void {
    if (this.failure !== undefined || this.tolerated.some((text) => `${invariant} ${message}`.includes(text))) return;
    this.failure = { invariant, message, at: this.#host.timeline.elapsed };
    this.#host.note(`!! ${invariant} ${message}`);
  }

  facts(app: string): Facts {
    return this.#facts.get(app) ?? nothing;
  }

  /** The state file is another one, and the agent has not written it. */
  reread(app: string, text: string | undefined): void {
    if (text === undefined) this.#facts.delete(app);
    else this.#facts.set(app, factsOf(JSON.parse(text)));
  }

  /** For runs of many deployments, whose memory is measured. @returns how many had ended */
  forgetEnded(): number {
    const { size } = this.ended;
    for (const known of [
      this.ended,
      this.#begun,
      this.#placeMade,
      this.#startedIn,
      this.#lost,
      this.#wellAt,
      this.stopped,
    ])
      known.clear();
    return size;
  }

  /** An instance was seen to be well. */
  well(address: string): void {
    this.#wellAt.set(address, this.#host.timeline.elapsed);
  }

  /** I1: whatever moves slots moves them to what is up. The agent has moved those of one app. */
  moved(app: string): void {
    this.#movedApp(app, true);
  }

  /** The same when nginx has read its files. */
  reloaded(askedFor: ReadonlySet<string>): void {
    for (const app of this.#host.apps.keys()) this.#movedApp(app, askedFor.has(app));
  }

  /** A deployment has its turn, and has not had any effect yet. */
  begun(app: string, id: string): void {
    const { current, previous } = this.#host.disk(app).links;
    this.#begun.set(id, { facts: this.facts(app), links: { current, previous }, addresses: new Set(this.slots(app)) });
  }

  /** The state file has a new content. */
  saved(app: string, facts: Facts): void {
    const before = this.facts(app);
    // What was staged is aborted later: until then others may have changed what was on the host when it was deployed.
    if (before.journal === null && facts.journal !== null && this.ended.has(facts.journal.id))
      this.begun(app, facts.journal.id);
    this.#facts.set(app, facts);
    this.#checkIntent(app, before, facts);
    this.#checkHeld(app, before, facts);
  }

  event(app: string, id: string, event: DeploymentEvent): void {
    const text = event.type === "notice" ? event.message : event.type === "state" ? event.state : "";
    this.#host.note(`${app} ${id.slice(-3)} ${event.type} ${text}`);
    if (text.endsWith("the deployment goes on when it is back")) this.#paused.add(id);
    if (text.startsWith("The agent is back")) this.#paused.delete(id);
    if (event.type === "end") this.#ended(app, event.deployment);
  }

  /** The agent starts a run. */
  starting(app: string, run: string, addresses: string[]): void {
    for (const address of addresses) this.stopped.delete(address);
    const { journal, staged } = this.facts(app);
    if (journal !== null) this.#startedIn.set(journal.id, (this.#startedIn.get(journal.id) ?? new Set()).add(run));
    const other = staged === null || releaseOfRun(staged.run) !== releaseOfRun(run);
    if (journal !== null && other) this.#placeMade.add(journal.id);
  }

  /** I3: what the agent stops has no traffic any more. */
  stopping(group: string): void {
    const { supervisord, timeline, faults } = this.#host;
    for (const { file, instance } of supervisord.groups.get(group) ?? []) {
      if (instance?.parts.address === undefined || instance.stopping || this.removing.has(file.app)) continue;
      // A stop that began in time goes on after the clock was set back.
      if (!this.stopped.has(instance.parts.address)) this.#checkWarm(file.app, file.run);
      if (instance.well) this.#checkWayBack(file.app, file.run);
      const { address } = instance.parts;
      this.stopped.add(address);
      if (instance.well && this.slots(file.app).includes(address)) {
        this.broken("I3", `${instance.parts.name} of ${file.run} is stopped, and has slots`);
      }
      const lost = timeline.elapsed - (this.#lost.get(address) ?? Number.NEGATIVE_INFINITY);
      if (instance.open() > 0 && lost < 1900 && timeline.elapsed - faults.lastStruck > 5000) {
        this.broken(
          "I3",
          `${instance.parts.name} of ${file.run} is stopped ${lost} ms after its slots went, with requests open`,
        );
      }
    }
  }

  /** I5: housekeeping keeps a run warm for as long as was said. */
  #checkWarm(app: string, run: string): void {
    const { warm, journal } = this.facts(app);
    const { timeline } = this.#host;
    const left = Date.parse(warm?.until ?? "") - timeline.wall;
    // Housekeeping that had looked at the clock before somebody set it stops the run a moment later.
    const decided = timeline.elapsed - timeline.wallSetAt < 1000;
    if (journal === null && warm?.run === run && left > 1000 && !decided) {
      this.broken("I5", `${run} of ${app} was to stay warm for ${left} ms more, and is stopped`);
    }
  }

  /** An agent runs. */
  started(): void {
    this.#upSince = this.#host.timeline.elapsed;
  }

  /** The agent has had the time to see what the one before it left, and to take it back. */
  get #hasLooked(): boolean {
    if (this.#upSince === undefined) return false;
    return this.#host.timeline.elapsed - this.#upSince > 2000 + this.#host.faults.slowedSince(this.#upSince);
  }

  /** I3: the traffic goes back to it. One that had to be started for that may be stopped again if it does not become well. */
  #checkWayBack(app: string, run: string): void {
    const { journal } = this.facts(app);
    if (journal?.back !== true || journal.from !== run || this.#startedIn.get(journal.id)?.has(run)) return;
    this.broken("I3", `${run} of ${app} is stopped, and the traffic is to go back to it`);
  }

  killed(): void {
    this.gone();
    this.kills++;
    for (const app of this.#host.apps.keys()) {
      const { journal } = this.facts(app);
      if (journal === null) continue;
      if (!journal.onward) this.#paused.delete(journal.id);
      if (this.#hasAll(app, journal.run)) this.#moved.add(journal.id);
    }
  }

  /** Also by itself. */
  gone(): void {
    this.#upSince = undefined;
    // What answers late has happened, though nobody waits for the answer any more.
    for (const app of this.removing.apps()) this.isGone(app);
  }

  /** Whether a removal of the app has removed everything, also if it was killed at its end. Then the app is a new one. */
  isGone(app: string): boolean {
    const { state } = this.#host.disk(app);
    if (state !== undefined) return false;
    this.removing.ended(app);
    this.reread(app, state);
    return true;
  }

  /** I1: a cut of power takes nothing of what has traffic. */
  powerCut(app: string): void {
    for (const run of new Set(this.slots(app).map((address) => this.runAt(app, address)))) {
      if (this.#host.disk(app).releases.get(releaseOfRun(run))?.whole === false) {
        this.broken("I1", `a cut of power tears ${run} of ${app}, which has traffic`);
      }
    }
  }

  /** The address of each slot, for whichever worker takes the next visitor. */
  slots(app: string): string[] {
    const { nginx } = this.#host;
    return nginx.workers.filter(({ serving }) => serving).flatMap((worker) => this.#host.addressesOf(app, worker));
  }

  /** The run that has an address. */
  runAt(app: string, address: string): string {
    const socket = /\/run\/([^/]+)\//.exec(address)?.[1];
    if (socket !== undefined) return socket;
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    for (const [run, ports] of this.#host.disk(app).ports) if (ports.includes(port)) return run;
    return "nothing";
  }

  /** I8: restarts alone hold no app. */
  #checkHeld(app: string, before: Facts, { held, journal }: Facts): void {
    if (journal === null) return;
    const opened = this.#opened.get(journal.id) ?? { at: this.#host.timeline.elapsed, kills: this.kills };
    this.#opened.set(journal.id, opened);
    const { faults, hindered: lasting, settings } = this.#host;
    // An owner who has taken the app's file away hinders its recovery, too.
    const hindered = lasting || !settings.has(app) || faults.lastStruck >= opened.at || this.kills > opened.kills + 1;
    if (held !== null && before.held === null && !hindered) {
      this.broken("I8", `${app} is held, and nothing had gone wrong: ${held}`);
    }
  }

  /** A moment passes between the last answer and the move, and effects that are slow on purpose may come between. */
  #isExcused(address: string): boolean {
    const { timeline, faults } = this.#host;
    const wellAt = this.#wellAt.get(address) ?? Number.NEGATIVE_INFINITY;
    return timeline.elapsed - wellAt < 1500 + faults.slowedSince(wellAt) || this.#comesBack(address);
  }

  /** A write whose reload failed in an unknown way is taken back: slots are again where they were a moment ago. */
  #comesBack(address: string): boolean {
    const { elapsed } = this.#host.timeline;
    const failed = elapsed - this.#host.faults.lastStruck < 1500;
    return failed && elapsed - (this.#lost.get(address) ?? Number.NEGATIVE_INFINITY) < 1500;
  }

  #movedApp(app: string, own: boolean): void {
    const before = this.#addresses.get(app) ?? new Set();
    const { timeline, nginx } = this.#host;
    // What moves while nginx is down has moved for the one that comes back.
    const now = new Set(nginx.up ? this.slots(app) : this.#host.addressesOnDisk(app));
    this.#addresses.set(app, now);
    for (const address of before) if (!now.has(address)) this.#lost.set(address, timeline.elapsed);
    if (this.removing.has(app)) return;
    // What a killed agent left half written is read at another's reload. The next agent needs a moment to take it back, and
    // without the app's settings nobody may.
    const mayTakeBack = this.#host.settings.has(app) && (own || this.#hasLooked);
    if (!mayTakeBack && isUnread(nginx.appFiles(app).upstream)) return;
    const left = [...before].filter((address) => !now.has(address));
    // What a canary gives back, and what is undone, goes to the live run, whatever that answers.
    const { live } = this.facts(app);
    for (const address of now) {
      if (before.has(address) || this.runAt(app, address) === live) continue;
      const instance = this.#host.listener(address);
      if (instance?.well || (this.#isExcused(address) && !this.stopped.has(address))) continue;
      const better = left.some((other) => this.#host.listener(other)?.well);
      if (instance === undefined || better) {
        const how = instance === undefined ? "no program runs" : `an instance is ${instance.mode}`;
        this.broken("I1", `slots of ${app} were moved to ${this.runAt(app, address)}, where ${how}`);
      }
    }
  }

  /** What has moved is finished: a write that lowers the intent would make the next start undo it. */
  #checkIntent(app: string, before: Facts, now: Facts): void {
    if (now.journal === null || before.journal?.id !== now.journal.id) return;
    if (!mustFinish(before.journal.state) || mustFinish(now.journal.state)) return;
    if (this.#hasAll(app, now.journal.run) && now.live !== now.journal.run) {
      this.broken("I5", `the intent of ${now.journal.run} was taken back, and all of the traffic had moved to it`);
    }
  }

  /**
   * All of the traffic is at a run, and stays there. If the files say something else, it has been taken back: nginx does not
   * have that yet, and whoever undoes the deployment writes it again before a program stops. The same is so while a mark says
   * that nobody knows what nginx has read.
   */
  #hasAll(app: string, run: string): boolean {
    if (isUnread(this.#host.nginx.appFiles(app).upstream)) return false;
    return [this.slots(app), this.#host.addressesOnDisk(app)].every(
      (slots) => slots.length > 0 && slots.every((address) => this.runAt(app, address) === run),
    );
  }

  #ended(app: string, view: DeploymentView): void {
    const { timeline } = this.#host;
    const begun = this.#begun.get(view.id);
    this.#host.note(
      `${app} ${view.id.slice(-3)} ended ${view.outcome} ${view.failure?.code ?? ""} ${view.failure?.detail ?? ""}`,
    );
    this.ended.set(view.id, { view, at: timeline.elapsed });
    if (view.outcome === "succeeded") checkSuccess(this, app, view);
    if (view.outcome === "succeeded") checkDivision(this.#host, this, app, view);
    if (view.failure === undefined) return;
    const { code, detail, unchanged = "" } = view.failure;
    if (code === "agent_stopping" && this.#paused.has(view.id)) {
      this.broken("I9", `a ${view.kind} of ${app} was to go on when the agent is back, and was undone`);
    }
    if (code === "agent_stopping" && this.#moved.has(view.id) && view.kind === "deploy") {
      this.broken("I5", `a deploy of ${app} was undone as if nothing had moved, and it had all of the traffic`);
    }
    if (detail.includes("second upload of the same bundle") && view.kind !== "deploy") {
      this.broken("I5", `a running ${view.kind} was aborted as if it were a second upload`);
    }
    const other = /cutover-([a-z]+)\.conf|another program's line/.exec(detail);
    if (code === "nginx_config_broken" && other !== null && other[1] !== app) {
      this.broken("I9", `${view.kind} of ${app} was refused for something that is not its own: ${detail}`);
    }
    const { live, journal } = this.facts(app);
    if (unchanged.includes("All traffic went back") && (live === null || releaseOfRun(live) !== view.release)) {
      const still = this.slots(app).some((address) => releaseOfRun(this.runAt(app, address)) === view.release);
      if (still) this.broken("I5", `"All traffic went back" was said (${code}), and slots lead to ${view.release}`);
    }
    if (begun === undefined || journal !== null) return;
    checkUnchanged(this.#host, this, { app, view, begun, placeMade: this.#placeMade.has(view.id) });
  }
}

export function factsOf({ live, staged, warm, journal, held }: AppState): Facts {
  return {
    live,
    staged: staged && { ...staged },
    warm: warm && { ...warm },
    journal: journal && {
      id: journal.deployment.id,
      run: journal.run,
      from: journal.from,
      state: journal.deployment.state,
      onward: journal.onward !== undefined,
      back: journal.verdict?.back === true,
    },
    held,
  };
}
