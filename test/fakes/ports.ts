import { setImmediate } from "node:timers/promises";
import type { FreeSpace, HealthAnswer, Ports } from "../../agent/contracts/ports.ts";
import type { Instance, ProcessGroup, ProgramState, ProgramStatus, RunSpec } from "../../agent/contracts/privileged.ts";
import type { DeployRequest } from "../../agent/contracts/service.ts";
import { appSettingsSchema } from "../../agent/settings.ts";
import { protocolOf } from "../../shared/config-server.ts";
import { milliseconds } from "../../shared/duration.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Manifest } from "../../shared/manifest.ts";
import type { DeploymentEvent, MaintenanceView } from "../../shared/protocol.ts";
import { noCertificates } from "./certificates.ts";
import { FakeClock } from "./clock.ts";
import { fakeConnections } from "./connections.ts";
import { digestOf, requestOf } from "./deploy-request.ts";
import { memoryMaintenance } from "./maintenance.ts";
import { noNginx } from "./no-nginx.ts";
import { type FakeProcess, fakeSystem, processGroup } from "./processes.ts";
import { noRequests } from "./requests.ts";
import { FakeShares } from "./shares.ts";
import { assignedSlots } from "./slots.ts";
import { memoryStates } from "./states.ts";

const ok: HealthAnswer = { kind: "status", status: 200, body: "", location: undefined };

/**
 * A host in memory, behind the same interfaces as the real one. It records every effect by name, in order, and fails the
 * effects that a test names. Its clock only moves when somebody sleeps. Its disk (`disk`) outlives a restart of the agent.
 */
export class FakeHost {
  readonly effects: string[] = [];
  /** Effects that throw, by their recorded text. */
  readonly failing = new Map<string, Error>();
  /** What instances of a release answer; 200 unless set. */
  readonly answers = new Map<string, HealthAnswer>();
  /** What a visitor gets from nginx, by `address path`; 200 unless set. */
  readonly visits = new Map<string, HealthAnswer>();
  /** supervisor's word for programs of a release; RUNNING unless set. */
  readonly programStates = new Map<string, ProgramState>();
  readonly connections = new Map<string, number>();
  /** What listens to the network, by address. */
  readonly outside = new Map<string, string>();
  /** Addresses on which nobody listens. */
  readonly silent = new Set<string>();
  /** The process id of a run's first instance; 100 unless set. */
  readonly pids = new Map<string, number>();
  /** For how long a run's instances have been up, in milliseconds; 1 unless set. */
  readonly uptimes = new Map<string, number>();
  /** supervisor's word for a run's process, by `run process`; RUNNING unless set. */
  readonly processStates = new Map<string, ProgramState>();
  /** How often a run's process was restarted, by `run process`. */
  readonly restarts = new Map<string, number>();
  /** How long a process takes to end when it is asked to, by its name; nothing unless set. */
  readonly stopTimes = new Map<string, number>();
  readonly disk = {
    state: new Map<string, string>(),
    releases: new Map<string, Manifest>(),
    programs: new Set<string>(),
    processes: new Map<string, FakeProcess>(),
    slots: "",
    links: {} as Record<string, string | null>,
    events: new Map<string, DeploymentEvent[]>(),
    maintenance: undefined as MaintenanceView | undefined,
  };
  readonly shares = new FakeShares();
  settings = appSettingsSchema.parse({ domains: ["shop.example.com"] });
  apps = ["shop"];
  releaseCommandCode = 0;
  /** The run on whose ports another user's process listens. */
  taken: string | undefined;
  /** What each release takes of the disk, and how much the disk has. */
  releaseBytes = 10;
  diskBytes = Number.POSITIVE_INFINITY;
  /** Releases whose environment somebody removed. */
  readonly prunedEnvironments = new Set<string>();
  /** By how much somebody has set the host's clock off, in milliseconds. */
  clockOff = 0;
  /** Called after each effect, for a test that acts in the middle. */
  onEffect: (effect: string) => void = () => {};
  readonly #clock = new FakeClock();

  get #now(): number {
    return this.#clock.now;
  }
  async effect(name: string): Promise<void> {
    await setImmediate();
    const failure = this.failing.get(name);
    if (failure !== undefined) throw failure;
    this.effects.push(name);
    this.onEffect(name);
  }

  get ports(): Ports {
    const { disk } = this;
    const instances = async ({ run, config }: Pick<RunSpec, "run" | "config">): Promise<Instance[]> =>
      Array.from({ length: config.server.instances }, (_, index) => ({
        name: `web-${index}`,
        address: `unix:${run}/web-${index}.sock`,
        protocol: protocolOf(config.server),
      }));
    const stored = (release: string) => {
      const manifest = disk.releases.get(release);
      if (manifest === undefined) throw new CutoverError("release_not_found", release);
      return manifest;
    };
    return {
      clock: {
        now: () => this.#now + this.clockOff,
        elapsed: () => this.#now,
        sleep: (ms, signal) => this.#clock.sleep(ms, signal),
        after: (ms, run) => {
          const timer = setTimeout(run, ms);
          return () => clearTimeout(timer);
        },
      },
      apps: {
        names: async () => this.apps,
        settings: async (app) => {
          if (!this.apps.includes(app)) throw new CutoverError("app_not_found", `no app ${app}`);
          return { ...this.settings, app, file: "/etc/cutover/apps/shop.yml" };
        },
      },
      states: memoryStates(disk),
      releases: {
        unpack: async (_app, bundle, { accept, base, freeSpace, signal }) => {
          const chunks: Buffer[] = [];
          for await (const chunk of bundle) chunks.push(Buffer.from(chunk));
          signal.throwIfAborted();
          const { manifest, digest } = JSON.parse(Buffer.concat(chunks).toString());
          await accept(manifest, digest);
          await this.#fits(this.releaseBytes, freeSpace);
          await this.effect(`release.unpack ${manifest.release}${base === undefined ? "" : ` over ${base}`}`);
          disk.releases.set(manifest.release, manifest);
          return { manifest, digest };
        },
        assertSpace: async (_app, bytes, freeSpace) => this.#fits(bytes, freeSpace),
        freedBytes: async (_app, releases) =>
          releases.filter((release) => disk.releases.has(release)).length * this.releaseBytes,
        config: async (_app, release) => stored(release).config,
        manifest: async (_app, release) => stored(release),
        files: async (_app, release) => ({ release, digest: digestOf(release), files: stored(release).files }),
        remove: async (_app, release) => {
          if (disk.releases.delete(release)) await this.effect(`release.remove ${release}`);
        },
        prune: async () => {},
        verify: async () => ({ releases: [], files: 0, bytes: 0, faults: [] }),
        list: async () =>
          [...disk.releases.values()].map(({ release, commit, repository, created }) => {
            return { id: release, digest: digestOf(release), commit, repository, created };
          }),
        published: async () => ({ current: disk.links.current ?? null, previous: disk.links.previous ?? null }),
        sync: async () => {},
        publish: async (_app, links) => {
          const { current, previous, ...others } = links;
          if (current !== undefined && current !== disk.links.current) {
            await this.effect(`publish ${current} after ${previous ?? null}`);
          }
          const changed = Object.entries(others).filter(([name, release]) => (disk.links[name] ?? null) !== release);
          for (const [name, release] of changed) await this.effect(`publish ${name} ${release}`);
          for (const [name, release] of Object.entries(links)) disk.links[name] = release;
        },
      },
      environments: {
        build: async ({ release, signal }) => {
          signal.throwIfAborted();
          await this.effect(`environment.build ${release}`);
          this.prunedEnvironments.delete(release);
          return { key: "k", reused: false };
        },
        present: async (_app, release) => !this.prunedEnvironments.has(release),
        prune: async () => {},
      },
      privileged: {
        prepareApp: async () => {},
        instances,
        listening: async (spec) => {
          if (spec.run !== this.taken) return (await instances(spec)).map(({ address }) => address);
          throw new CutoverError("port_taken", "A process of user 5 listens on port 9000.", { fix: "End it." });
        },
        strayListeners: async () => [],
        commandEnvironment: async ({ release }) => ({ release, directory: "/", env: {} }),
        maskSecrets: async (_app, texts) => texts,
        runCommand: async ({ release }, { argv, onOutput, source }) => {
          await this.effect(`release.command ${release}: ${argv.join(" ")}`);
          onOutput(source, "the command's output");
          return this.releaseCommandCode;
        },
        shareRelease: async () => {},
        startPrograms: async ({ run }) => {
          await this.effect(`programs.start ${run}`);
          disk.programs.add(run);
        },
        programs: async (_app, run) => (disk.programs.has(run) ? this.#programs(run) : undefined),
        revivePrograms: async (_app, run, stopped) => {
          await this.effect(`programs.revive ${run}${stopped ? " stopped" : ""}`);
          return disk.programs.has(run) ? this.#programs(run) : undefined;
        },
        fullShare: async (_app, run) => this.shares.give(run),
        startProcess: async ({ run, config }, process) => {
          const { instances, stop_timeout } = config.processes[process] ?? {};
          if (instances === undefined || stop_timeout === undefined) throw new Error(`no process ${process}`);
          await this.effect(`process.start ${run} ${process}`);
          const stopMs = milliseconds(stop_timeout);
          disk.processes.set(`${run} ${process}`, { run, process, instances, stopMs, asked: undefined });
        },
        processes: async () => [...disk.processes.values()].map((process) => this.#process(process)),
        stopProcess: async (_app, run, name) => {
          const process = disk.processes.get(`${run} ${name}`);
          if (process === undefined || this.#process(process).programs[0]?.state !== "RUNNING") return;
          await this.effect(`process.stop ${run} ${name}`);
          process.asked = this.#now;
        },
        removeProcess: async (_app, run, name) => {
          await this.effect(`process.remove ${run} ${name}`);
          disk.processes.delete(`${run} ${name}`);
        },
        removePrograms: async (_app, run) => {
          await this.effect(`programs.remove ${run}`);
          disk.programs.delete(run);
          for (const [key, process] of disk.processes) if (process.run === run) disk.processes.delete(key);
        },
        runs: async () => [
          ...new Set([...disk.programs, ...[...disk.processes.values()].map((process) => process.run)]),
        ],
        ...noNginx,
        ...noCertificates,
        removeApp: async () => {
          await this.effect("app.remove");
          disk.programs.clear();
          disk.processes.clear();
        },
      },
      traffic: {
        route: async (_app, { main }) => {
          const text = (main?.shares ?? []).map(({ run, slots }) => `${run}:${slots}`).join(" ");
          if (text !== disk.slots) await this.effect(`slots.swap ${text}`);
          disk.slots = text;
          return { reloaded: false };
        },
        assigned: async () => assignedSlots(this.disk.slots),
        unread: async () => false,
        settled: async () => true,
        tidy: async () => {},
      },
      probe: {
        visit: async ({ address, path }) => this.visits.get(`${address} ${path}`) ?? ok,
        check: async ({ address }) => {
          await setImmediate();
          const run = address.slice("unix:".length, address.indexOf("/"));
          return this.answers.get(run) ?? ok;
        },
      },
      connections: fakeConnections(this),
      logs: {
        tail: async (_app, run) =>
          ["web-0", "worker-0", "beat-0"].map((source) => ({ source, text: `log of ${source} of ${run}` })),
        follow: async () => ({ logs: [], next: "" }),
        prune: async () => {},
      },
      events: {
        append: (_app, id, event) => void disk.events.set(id, [...(disk.events.get(id) ?? []), event]),
        async *read(_app, id, after = 0) {
          yield* (disk.events.get(id) ?? []).filter((event) => event.id > after);
        },
        prune: async () => {},
      },
      requests: noRequests,
      system: fakeSystem(() => [...disk.programs].flatMap((run) => this.#programs(run))),
      maintenance: memoryMaintenance(
        disk,
        () => this.#now,
        (name) => this.effect(name),
      ),
    };
  }

  async #fits(needed: number, freeSpace?: FreeSpace): Promise<void> {
    const free = this.diskBytes - this.disk.releases.size * this.releaseBytes;
    if (needed > free) await freeSpace?.({ needed, free });
  }

  #programs(run: string): ProgramStatus[] {
    const state = this.programStates.get(run) ?? "RUNNING";
    const [first, uptime] = [this.pids.get(run) ?? 100, this.uptimes.get(run) ?? 1];
    return ["web-0", "web-1"].map((name, index) => ({ name, state, pid: first + index, uptime, detail: "" }));
  }

  #process(process: FakeProcess): ProcessGroup {
    const key = `${process.run} ${process.process}`;
    return processGroup(process, {
      now: this.#now,
      takes: this.stopTimes.get(process.process) ?? 0,
      state: this.processStates.get(key) ?? "RUNNING",
      restarts: this.restarts.get(key) ?? 0,
    });
  }

  request(release: string, settings: object = {}, more: Partial<DeployRequest> = {}): DeployRequest {
    return requestOf(release, settings, more);
  }
}
