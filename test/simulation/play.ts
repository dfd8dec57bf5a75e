import { Readable } from "node:stream";
import type { CallRequest } from "../../agent/contracts/service.ts";
import type { Deployments } from "../../agent/deploy/deployments.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { Agent } from "./agent.ts";
import { type BundleSpec, manifestOf } from "./bundle.ts";
import type { History, Operation } from "./history.ts";
import { Host } from "./host.ts";
import { hostFiles } from "./host-files.ts";
import { Maintaining } from "./maintaining.ts";
import type { Outcome, PlayOptions } from "./outcome.ts";
import { checkRest } from "./rest.ts";
import type { Upload } from "./unpack.ts";
import { Visitors } from "./visitors.ts";

/** One history on one host. */
export class Play {
  readonly host: Host;
  readonly agent: Agent;
  readonly visitors: Visitors;
  readonly #history: History;
  readonly #last = new Map<string, Upload>();
  readonly #lastDeployment = new Map<string, string>();
  readonly #maintaining: Maintaining;
  #releases = 0;

  constructor(history: History, { trace, tolerated = [] }: PlayOptions = {}) {
    this.#history = history;
    this.host = new Host(history.seed, trace);
    this.host.watcher.tolerated = tolerated;
    this.agent = new Agent(this.host);
    this.#maintaining = new Maintaining(this.host);
    this.visitors = new Visitors(this.host, () => this.agent.up);
  }

  async run(): Promise<Outcome> {
    const { timeline, watcher } = this.host;
    this.agent.start();
    await this.pass(500);
    for (const operation of this.#history.operations) {
      if (watcher.failure !== undefined) break;
      this.host.note(`== ${JSON.stringify(operation)}`);
      this.#do(operation);
      await this.pass(operation.pause);
    }
    if (watcher.failure === undefined) await checkRest(this);
    const { answered, failed } = this.visitors;
    this.agent.kill();
    return { broken: watcher.failure, deployments: watcher.ended.size, answered, failed, steps: timeline.steps };
  }

  /** Lets time pass, until an invariant is broken. */
  async pass(ms: number, until: () => boolean = () => false): Promise<void> {
    const { timeline, watcher } = this.host;
    await timeline.advance(timeline.elapsed + ms, () => watcher.failure !== undefined || until());
  }

  request(app: string, waitMs: number, signal = new AbortController().signal): CallRequest {
    const begun = async (id: string) => {
      this.#lastDeployment.set(app, id);
      this.host.watcher.begun(app, id);
    };
    return { by: { subject: "sim" }, waitMs, signal, begun };
  }

  /** A call, of which nobody knows how it ends if the agent dies. */
  call<T>(name: string, work: (service: Deployments) => Promise<T>): Promise<T | undefined> {
    const { service } = this.agent;
    if (service === undefined) return Promise.resolve(undefined);
    return work(service).catch((thrown: unknown) => {
      this.host.note(`${name} is answered: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return undefined;
    });
  }

  deploy(
    app: string,
    spec: BundleSpec,
    how: Partial<Extract<Operation, { do: "deploy" }>> = {},
  ): Promise<string | undefined> {
    const number = ++this.#releases;
    const minute = String(Math.floor(number / 60)).padStart(2, "0");
    const second = String(number % 60).padStart(2, "0");
    const hex = number.toString(16).padStart(7, "0");
    const manifest = manifestOf(app, `20261121T10${minute}${second}Z-${hex}`, spec);
    const upload = { manifest, digest: `sha256:${hex.padStart(64, "0")}` };
    this.#last.set(app, upload);
    return this.#send(app, upload, how);
  }

  #send(
    app: string,
    upload: Upload,
    { stage = false, leaseMs = 0, waitMs = 0, lostMs }: Partial<Extract<Operation, { do: "deploy" }>>,
  ): Promise<string | undefined> {
    const { timeline, watcher } = this.host;
    const lost = new AbortController();
    if (lostMs !== undefined) timeline.after(lostMs, () => lost.abort(new Error("the connection is lost")));
    const body = () => {
      const stream = new Readable({ read() {} });
      this.agent.uploads.set(stream, upload);
      return stream;
    };
    const begins = timeline.elapsed;
    const options = { body, digest: upload.digest, base: undefined, activate: !stage, releaseCommand: true, leaseMs };
    return this.call("deploy", async (service) => {
      const { deployment, release } = await service.deploy(app, {
        ...this.request(app, waitMs, lost.signal),
        ...options,
      });
      const past = watcher.ended.get(deployment);
      const { live, staged, journal } = watcher.facts(app);
      const there = [live, staged?.run, journal?.run].some((run) => run != null && releaseOfRun(run) === release);
      if (past !== undefined && past.at < begins && past.view.outcome === "succeeded" && !there) {
        watcher.broken(
          "I5",
          `a deploy is answered with ${past.view.outcome}, and ${release} is neither live nor staged`,
        );
      }
      return deployment;
    });
  }

  #do(operation: Operation): void {
    const handler = this.#calls[operation.do] ?? this.#happenings[operation.do];
    (handler as ((operation: Operation) => void) | undefined)?.(operation);
  }

  readonly #calls: { [K in Operation["do"]]?: (operation: Extract<Operation, { do: K }>) => void } = {
    deploy: (how) => void this.deploy(how.app, how.bundle, how),
    resend: ({ app }) => {
      const upload = this.#last.get(app);
      if (upload !== undefined) void this.#send(app, upload, {});
    },
    activate: ({ app, which, weight, waitMs }) => {
      const release = this.#pick(app, which);
      if (release === undefined) return;
      void this.call("activate", (service) => service.activate(app, release, { ...this.request(app, waitMs), weight }));
    },
    rollback: ({ app, waitMs }) =>
      void this.call("rollback", (service) => service.rollback(app, this.request(app, waitMs))),
    redeploy: ({ app, which, waitMs }) => {
      const release = which === "live" ? which : this.#pick(app, which);
      if (release === undefined) return;
      void this.call("redeploy", (service) => service.redeploy(app, release, this.request(app, waitMs)));
    },
    abort: ({ app, which }) => {
      const id = which === "last" ? this.#lastDeployment.get(app) : this.host.watcher.facts(app).staged?.deployment;
      if (id !== undefined) void this.abort(id);
    },
    ask: ({ app, times }) => {
      for (let time = 0; time < times; time++) {
        this.host.timeline.after(time * 1000, () => {
          const id = this.host.watcher.facts(app).staged?.deployment ?? this.#lastDeployment.get(app);
          if (id !== undefined) void this.call("ask", (service) => service.deployment(id));
          void this.call("status", (service) => service.app(app));
        });
      }
    },
    pin: ({ app, pinned }) => {
      const release = this.#pick(app, "earlier");
      if (release !== undefined) void this.call("pin", (service) => service.pin(app, release, pinned));
    },
    repair: ({ app }) => void this.call("repair", (service) => service.repair(app)),
    maintain: ({ app, allow }) => {
      if (!this.agent.stopping) void this.call("maintain", (service) => this.#maintaining.call(service, app, allow));
    },
    remove: ({ app }) => {
      const { watcher } = this.host;
      const isGone = () => watcher.isGone(app);
      void this.call("remove", (service) => watcher.removing.follow(app, service.removeApp(app), isGone));
    },
    refused: ({ app, times }) => {
      for (let time = 0; time < times; time++) {
        this.host.timeline.after(
          time * 10,
          () =>
            void this.call("refused", (service) =>
              service.redeploy(app, "20200101T000000Z-0000000", this.request(app, 0)),
            ),
        );
      }
    },
  };

  readonly #happenings: { [K in Operation["do"]]?: (operation: Extract<Operation, { do: K }>) => void } = {
    settings: ({ app, what }) => {
      if (what === "gone") this.host.settings.delete(app);
      else this.host.allow(app, hostFiles[what]);
    },
    fault: ({ effect, kind, app, after, times }) => this.host.faults.armed.push({ effect, kind, app, after, times }),
    "disk full": ({ ms }) =>
      this.#until(ms, (until) => {
        this.host.faults.diskFullUntil = until;
      }),
    "helper away": ({ ms }) =>
      this.#until(ms, (until) => {
        this.host.faults.helperAwayUntil = until;
      }),
    "foreign site": ({ ms }) => {
      this.host.nginx.foreignBroken = true;
      this.host.faults.struck();
      this.host.timeline.after(ms, () => {
        this.host.nginx.foreignBroken = false;
      });
    },
    "foreign program": ({ ms }) => {
      this.host.supervisord.brokenFile = true;
      this.host.faults.struck();
      this.host.timeline.after(ms, () => {
        this.host.supervisord.brokenFile = false;
      });
    },
    "foreign reload": ({ complains = false }) => {
      const { nginx } = this.host;
      // Somebody tests a file of his own, and nginx says so in its log.
      if (complains) nginx.log.push("[emerg] another program's line in the log");
      if (nginx.test() === undefined) nginx.reload();
    },
    "nginx dies": ({ ms, pid }) => {
      const { nginx, faults, strangers, timeline } = this.host;
      faults.struck();
      const { master } = nginx;
      nginx.crash(pid !== "free");
      if (pid === "another's" && master !== 0) strangers.add(master);
      timeline.after(ms, () => nginx.boot());
    },
    "supervisord restarts": ({ ms }) => {
      this.host.faults.struck();
      this.host.supervisord.restart(ms);
    },
    kill: ({ ms }) => {
      this.agent.kill();
      this.host.timeline.after(ms, () => this.agent.start());
    },
    restart: ({ ms }) => {
      if (this.agent.service === undefined) return;
      this.agent.stop();
      this.agent.onDeath = () => void this.host.timeline.after(ms, () => this.agent.start());
    },
    "power cut": ({ ms }) => {
      this.agent.kill();
      this.host.powerCut(ms);
      this.host.timeline.after(ms + 200, () => this.agent.start());
    },
    clock: ({ ms }) => {
      const { timeline } = this.host;
      timeline.wallOff += ms;
      timeline.wallSetAt = timeline.elapsed;
    },
    sick: ({ app, who, how, ms }) => {
      const facts = this.host.watcher.facts(app);
      const run = who === "live" ? facts.live : facts[who]?.run;
      if (run == null) return;
      for (const instance of this.host.supervisord.instances(app, run)) {
        if (how === "exits") instance.die("killed");
        else instance.turn(how);
        this.host.timeline.after(ms, () => instance.mend());
      }
    },
  };

  #until(ms: number, set: (until: number) => void): void {
    set(this.host.timeline.elapsed + ms);
  }

  /** I5: an abort that is answered has ended the deployment without its release. */
  async abort(id: string): Promise<void> {
    const view = await this.call("abort", (service) => service.abort(id));
    if (view === undefined || view.outcome === "aborted" || view.outcome === "failed") return;
    this.host.watcher.broken("I5", `an abort of a ${view.kind} is answered, and it has ${view.outcome}`);
  }

  #pick(app: string, which: "staged" | "earlier"): string | undefined {
    const { staged, live } = this.host.watcher.facts(app);
    if (which === "staged") return staged === null ? undefined : releaseOfRun(staged.run);
    const known = [...this.host.disk(app).releases.keys()].filter(
      (release) => live === null || release !== releaseOfRun(live),
    );
    return known.at(-1);
  }
}

export function play(history: History, options?: PlayOptions): Promise<Outcome> {
  return new Play(history, options).run();
}
