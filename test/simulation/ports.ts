import type { Ports } from "../../agent/contracts/ports.ts";
import type { AppState } from "../../agent/deploy/state.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { DeploymentEvent, MaintenanceView } from "../../shared/protocol.ts";
import { SerialQueue } from "../../shared/serial-queue.ts";
import { noRequests } from "../fakes/requests.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import { SimPrivileged } from "./privileged.ts";
import { SimTraffic } from "./traffic.ts";
import { collectObjects, type Upload, unpack } from "./unpack.ts";
import { visit } from "./visit.ts";
import { factsOf } from "./watcher.ts";

function hasProcess({ supervisord }: Host, pid: number): boolean {
  return [...supervisord.groups.values()].flat().some(({ instance }) => instance?.parts.pid === pid);
}

/** What the deploy code needs, for one life of the agent on the simulated host. */
export function portsFor(host: Host, effects: Effects, uploads: WeakMap<object, Upload>): Ports {
  const privileged = new SimPrivileged(host, effects);
  const { timeline } = host;
  return {
    privileged,
    traffic: new SimTraffic(host, effects, privileged),
    states: states(host, effects),
    releases: releases(host, effects, uploads),
    environments: environments(host, effects),
    maintenance: maintenance(host, effects),
    requests: noRequests,
    system: {
      view: async () => ({ machine: "x86_64", glibc: "2.36", pythons: ["3.11"] }),
      running: async (pids) => pids.every((pid) => hasProcess(host, pid)),
    },
    clock: {
      now: () => timeline.wall,
      elapsed: () => timeline.elapsed,
      after: (ms, run) => {
        const cancel = timeline.after(ms, () => effects.alive && run());
        return cancel;
      },
      sleep: (ms, signal) => sleep(host, effects, ms, signal),
    },
    apps: {
      names: () => effects.look(() => [...host.settings.keys()]),
      settings: (app) =>
        effects.look(() => {
          const settings = host.settings.get(app);
          if (settings === undefined) throw new CutoverError("app_not_found", `The host has no app ${app}.`);
          return settings;
        }),
    },
    probe: {
      check: async ({ address }, { timeoutMs }) => {
        const instance = await effects.ask("ask.probe", address, () => host.listener(address));
        if (instance === undefined || !instance.listens) return { kind: "unreachable", reason: "nobody listens" };
        if (instance.mode === "hangs") {
          await effects.wait(timeoutMs);
          return { kind: "unreachable", reason: "no answer in time" };
        }
        if (instance.well) host.watcher.well(address);
        return { kind: "status", status: instance.well ? 200 : 500, body: "", location: undefined };
      },
      visit: (wanted) => visit(host, effects, wanted),
    },
    connections: {
      count: (addresses) =>
        effects.look(() => new Map(addresses.map((address) => [address, host.listener(address)?.open() ?? 0]))),
      outside: () => effects.look(() => new Map<string, string>()),
      listening: (addresses) =>
        effects.look(() => new Set(addresses.filter((address) => host.listener(address)?.listens === true))),
    },
    logs: {
      tail: (app, run) =>
        effects.look(() => (host.disk(app).logs.has(run) ? [{ source: "web-0", text: "a log" }] : [])),
      follow: () => effects.look(() => ({ logs: [], next: "" })),
      prune: async (app, kept) => {
        const programmed = [...host.supervisord.files.values()].map(({ run }) => run);
        const stays = new Set([...kept, ...programmed]);
        for (const run of [...host.disk(app).logs]) {
          if (!stays.has(run)) await effects.do("logs.collect", app, () => host.disk(app).logs.delete(run));
        }
      },
    },
    events: events(host, effects),
  };
}

function sleep(host: Host, effects: Effects, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!effects.alive) return;
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = host.timeline.after(ms, () => {
      forget?.();
      if (effects.alive) resolve();
    });
    const forget = signal && effects.onAbort(signal, stop);
  });
}

/** Temp, fsync, rename, fsync of the directory; saves of one app follow each other. */
function states(host: Host, effects: Effects): Ports["states"] {
  const last = new Map<string, Promise<void>>();
  return {
    load: (app) =>
      effects.look(() => {
        const text = host.disk(app).state;
        return text === undefined ? undefined : JSON.parse(text);
      }),
    keepCopy: (app) =>
      effects.look(() => (host.disk(app).state === undefined ? undefined : "state.json.before-repair")),
    save: (app, state) => {
      const text = JSON.stringify(state);
      const facts = factsOf(state as AppState);
      const before = last.get(app) ?? Promise.resolve();
      const save = before
        .catch(() => undefined)
        .then(async () => {
          const disk = host.disk(app);
          await effects.do("durable.rename", app, () => {
            disk.state = text;
            host.watcher.saved(app, facts);
          });
          await effects.do("durable.sync-directory", app, () => {
            disk.durableState = text;
          });
        });
      last.set(app, save);
      return save;
    },
  };
}

function releases(host: Host, effects: Effects, uploads: WeakMap<object, Upload>): Ports["releases"] {
  const found = (app: string, release: string) =>
    effects.look(() => {
      const stored = host.disk(app).releases.get(release);
      if (stored === undefined) throw new CutoverError("release_not_found", `The host has no release ${release}.`);
      return stored;
    });
  return {
    assertSpace: async () => {},
    freedBytes: async () => 0,
    unpack: (app, body, options) => unpack({ host, effects, upload: uploads.get(body) }, app, options),
    config: async (app, release) => (await found(app, release)).manifest.config,
    manifest: async (app, release) => (await found(app, release)).manifest,
    files: async (app, release) => ({ release, digest: (await found(app, release)).digest, files: [] }),
    remove: async (app, release) => {
      if (!host.disk(app).releases.has(release)) return;
      await effects.do("release.remove", app, () => host.disk(app).releases.delete(release));
    },
    verify: async () => ({ releases: [], files: 0, bytes: 0, faults: [] }),
    prune: async (app) => {
      await collectObjects(host.disk(app), effects);
      await effects.look(() => {
        host.disk(app).unsynced = false;
      });
    },
    list: (app) =>
      effects.look(() =>
        [...host.disk(app).releases.values()].map(({ manifest, digest }) => {
          const { release: id, commit, repository, created } = manifest;
          return { id, digest, commit, repository, created };
        }),
      ),
    published: (app) =>
      effects.look(() => {
        const { current, previous } = host.disk(app).links;
        return { current, previous };
      }),
    sync: async (app, release) => {
      const disk = host.disk(app);
      await effects.do("release.sync", app, () => {
        const stored = disk.releases.get(release);
        if (stored !== undefined) stored.synced = true;
        for (const object of disk.objects.values()) object.synced = true;
      });
      await effects.look(() => {
        disk.unsynced = false;
      });
    },
    publish: async (app, links) => {
      const disk = host.disk(app);
      for (const name of ["previous", "current", "canary", "staged"] as const) {
        const release = links[name];
        if (release === undefined || disk.links[name] === release) continue;
        await effects.do("links.publish", app, () => {
          disk.links[name] = release;
        });
      }
    },
  };
}

function environments(host: Host, effects: Effects): Ports["environments"] {
  return {
    build: async ({ app, release, signal }) => {
      await effects.wait(host.chances.of("build").int(800));
      signal.throwIfAborted();
      const stored = host.disk(app).releases.get(release);
      await effects.do("environment.build", app, () => {
        if (stored?.manifest.behaviour.fault === "environment") {
          throw new CutoverError("environment_failed", "pip could not install the requirements.");
        }
        host.disk(app).environments.add(release);
      });
      return { key: "k", reused: false };
    },
    present: (app, release) => effects.look(() => host.disk(app).environments.has(release)),
    prune: async (app, kept) => {
      for (const release of [...host.disk(app).environments]) {
        if (kept.includes(release) && host.disk(app).releases.has(release)) continue;
        await effects.do("environment.remove", app, () => host.disk(app).environments.delete(release));
      }
    },
  };
}

/** By agent/host/nginx/maintenance.ts: a file for each address, then those of others go. One change of an app at a time. */
function maintenance(host: Host, effects: Effects): Ports["maintenance"] {
  const state = (app: string) => {
    const { maintenance: since, allow } = host.disk(app);
    return since === undefined ? undefined : { since, allow: [...allow].sort() };
  };
  const queues = new Map<string, SerialQueue>();
  const inTurn = <T>(app: string, work: () => Promise<T>): Promise<T> => {
    const queue = queues.get(app) ?? new SerialQueue();
    queues.set(app, queue);
    return queue.run(work);
  };
  const begin = async (app: string, allow: string[]): Promise<MaintenanceView> => {
    const disk = host.disk(app);
    const open = disk.maintenance === undefined;
    try {
      for (const address of allow) await effects.do("maintenance.allow", app, () => disk.allow.add(address));
      for (const address of [...disk.allow]) {
        if (allow.includes(address)) continue;
        await effects.do("maintenance.allow", app, () => disk.allow.delete(address));
      }
      if (open) {
        await effects.do("maintenance.begin", app, () => {
          disk.maintenance = new Date(host.timeline.wall).toISOString();
        });
      }
    } catch (thrown) {
      if (open) disk.allow.clear();
      throw thrown;
    }
    const view = state(app);
    if (view === undefined) throw new CutoverError("internal", `Something has removed the maintenance file of ${app}.`);
    return view;
  };
  const end = async (app: string): Promise<void> => {
    const disk = host.disk(app);
    await effects.do("maintenance.end", app, () => {
      disk.maintenance = undefined;
    });
    await effects.do("maintenance.remove", app, () => disk.allow.clear());
  };
  return {
    state: (app) => effects.look(() => state(app)),
    begin: (app, allow) => inTurn(app, () => begin(app, allow)),
    end: (app) => inTurn(app, () => end(app)),
  };
}

function events(host: Host, effects: Effects): Ports["events"] {
  return {
    append: (app, deployment, event: DeploymentEvent) => {
      if (!effects.alive) return;
      const disk = host.disk(app);
      host.watcher.event(app, deployment, event);
      if (!disk.home) return;
      const known = disk.events.get(deployment);
      if (known === undefined) disk.events.set(deployment, [event]);
      else known.push(event);
    },
    async *read(app, deployment, after = 0) {
      const all = await effects.look(() => [...(host.disk(app).events.get(deployment) ?? [])]);
      yield* all.filter(({ id }) => id > after);
    },
    prune: async (app, kept) => {
      const disk = host.disk(app);
      for (const deployment of [...disk.events.keys()]) {
        if (!kept.includes(deployment)) await effects.do("events.collect", app, () => disk.events.delete(deployment));
      }
    },
  };
}
