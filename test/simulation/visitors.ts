import type { Host } from "./host.ts";
import type { Worker } from "./nginx.ts";
import type { Facts } from "./watcher.ts";

const everyMs = 250;
/** How long something may be wrong while nothing hinders the agent. */
const patienceMs = 20_000;
/** The agent's longest pause before it tries again to end a deployment that is open. */
const retryMs = 60_000;
const canaryPatienceMs = 30_000;

/**
 * Visitors, who come every quarter of a second and go where nginx sends them; and what must not stay wrong for long
 * while the agent runs and nothing hinders it.
 */
export class Visitors {
  readonly #host: Host;
  readonly #agentUp: () => boolean;
  /** Since when something is so without a break, by its name. */
  readonly #since = new Map<string, number>();
  answered = 0;
  failed = 0;

  constructor(host: Host, agentUp: () => boolean) {
    this.#host = host;
    this.#agentUp = agentUp;
    this.#tick();
  }

  #tick(): void {
    const { timeline } = this.#host;
    for (const app of this.#host.apps.keys()) {
      this.#visit(app);
      this.#watch(app);
    }
    for (const programs of this.#host.supervisord.groups.values()) {
      for (const { instance } of programs) {
        if (instance?.well && instance.parts.address !== undefined) this.#host.watcher.well(instance.parts.address);
      }
    }
    timeline.after(everyMs, () => this.#tick());
  }

  #visit(app: string): void {
    const { nginx, chances } = this.#host;
    const random = chances.of("visitors");
    const [one, two, three] = [random.next(), random.next(), random.next()];
    const worker = nginx.accepting(one);
    const servers = worker?.upstreams.get(app)?.main ?? [];
    const server = servers[two % Math.max(servers.length, 1)];
    if (worker === undefined || server === undefined || this.#host.disk(app).maintenance !== undefined) return;
    const kind = three % 100;
    // An upload comes in first, and looks its instance up when it is there.
    if (kind >= 98) {
      worker.busyUntil = Math.max(worker.busyUntil, this.#host.timeline.elapsed + 2000);
      this.#host.timeline.after(1800, () => this.#connect(app, worker, server, 200));
      return;
    }
    this.#connect(app, worker, server, kind < 90 ? 20 : 1200);
  }

  #connect(app: string, worker: Worker, server: string, ms: number): void {
    const { timeline } = this.#host;
    const address = this.#host.resolveOne(app, server);
    const instance = this.#host.listener(address);
    if (!instance?.listens) {
      this.failed++;
      const { watcher } = this.#host;
      if (worker.serving && watcher.stopped.has(address) && !watcher.removing.has(app)) {
        watcher.broken(
          "I3",
          `a visitor of ${app} finds an instance of ${watcher.runAt(app, address)} stopped by the agent`,
        );
      }
      return;
    }
    const takes = instance.mode === "hangs" ? 5000 : ms;
    instance.connect(takes);
    worker.busyUntil = Math.max(worker.busyUntil, timeline.elapsed + takes);
    if (instance.well) this.answered++;
    else this.failed++;
    if (instance.well) this.#seen(app, instance.parts.run);
  }

  /** I2: a run that a visitor sees is one that the state knows. */
  #seen(app: string, run: string): void {
    const { live, staged, warm, journal } = this.#host.watcher.facts(app);
    const known = [live, staged?.run, warm?.run, journal?.run, journal?.from].includes(run);
    const name = `${app} shows ${run}`;
    // Without the app's settings the agent can move nothing.
    if (known || !this.#host.settings.has(app)) this.#since.delete(name);
    else
      this.#lasting(name, journal === null ? patienceMs : retryMs + patienceMs, () =>
        this.#host.watcher.broken("I2", `visitors of ${app} see ${run}, which is nothing`),
      );
  }

  #watch(app: string): void {
    // An app that the host's owner has taken away is left alone. When it comes back, the agent has its time again.
    if (!this.#host.settings.has(app)) {
      for (const name of this.#since.keys()) if (name.startsWith(`${app} `)) this.#since.delete(name);
      return;
    }
    const facts = this.#host.watcher.facts(app);
    this.#watchCanary(app, facts);
    const { journal, warm } = facts;
    // A removal holds the app until its last program has stopped.
    const waits = journal?.onward === true && !this.#host.watcher.removing.has(app);
    this.#whileTrue(`${app} waits`, waits, patienceMs, () =>
      this.#host.watcher.broken("I9", `${app} has a deployment that is to go on, and nobody takes it up`),
    );
    const overdue = warm !== null && journal === null && Date.parse(warm.until) < this.#host.timeline.wall;
    this.#whileTrue(`${app} is warm ${warm?.run}`, overdue && facts.held === null, 60_000, () =>
      this.#host.watcher.broken("I6", `${warm?.run} of ${app} is warm, and nobody retires it`),
    );
  }

  /** I2: a canary that fails its visitors is taken back. */
  #watchCanary(app: string, { staged, journal }: Facts): void {
    const run = staged !== null && staged.weight > 0 && journal === null ? staged.run : undefined;
    let bad = false;
    // Who removes the app takes the canary away as well, when its workers have ended.
    if (run !== undefined && !this.#host.watcher.removing.has(app)) {
      const instances = [...this.#host.supervisord.instances(app, run)];
      bad = instances.some(({ mode }) => mode === "answers-500" || mode === "hangs");
    }
    // While a deployment is open, nobody can take it back.
    this.#whileTrue(`${app} canary`, bad, canaryPatienceMs, () =>
      this.#host.watcher.broken("I2", `the canary ${run} of ${app} fails its visitors, and keeps its share`),
    );
  }

  #whileTrue(name: string, is: boolean, ms: number, report: () => void): void {
    if (is) this.#lasting(name, ms, report);
    else this.#since.delete(name);
  }

  /** Counts only while the agent is up and nothing hinders it. */
  #lasting(name: string, ms: number, report: () => void): void {
    const { timeline, faults } = this.#host;
    const hindered = !this.#agentUp() || this.#host.hindered || timeline.elapsed - faults.lastStruck < 1000;
    const since = this.#since.get(name);
    if (since === undefined || hindered) this.#since.set(name, timeline.elapsed);
    else if (timeline.elapsed - Math.max(since, faults.lastStruck) > ms) report();
  }
}
