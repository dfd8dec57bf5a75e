import { type Config, configSchema } from "../../shared/config.ts";
import type { Manifest } from "../../shared/manifest.ts";

/** What is wrong with a release; "" if it is good. */
export const faultsOfReleases = [
  "",
  "torn",
  "digest",
  "environment",
  "command",
  "exits",
  "hangs",
  "answers-500",
  "exits-later",
  "answers-500-later",
  "hangs-later",
  "nginx",
  "worker",
] as const;
export type ReleaseFault = (typeof faultsOfReleases)[number];

/** What a release is like, as a history has it. Everything is optional: what is left out is the usual. */
export interface BundleSpec {
  fault?: ReleaseFault;
  /** With a fault that shows later: after so many milliseconds of an instance. */
  laterMs?: number;
  instances?: number;
  bind?: "port";
  protocol?: "uwsgi";
  balance?: "url_hash" | "ip_hash";
  site?: "none" | "foreign" | "addressed" | "preview";
  keepWarm?: string;
  watch?: string;
  command?: true;
  processes?: "overlap" | "alone";
  /** How an instance takes its stop signal. */
  stops?: "slowly" | "never";
  bootMs?: number;
}

/** What one instance of a release does, whatever it is asked. */
export interface Behaviour {
  fault: ReleaseFault;
  laterMs: number;
  bootMs: number;
  stops: "at once" | "slowly" | "never";
}

export interface SimManifest extends Manifest {
  behaviour: Behaviour;
}

const configs = new Map<string, Config>();

export function manifestOf(app: string, release: string, spec: BundleSpec): SimManifest {
  const key = `${app} ${JSON.stringify(spec)}`;
  let config = configs.get(key);
  if (config === undefined) {
    config = configSchema.parse(settingsOf(app, spec));
    configs.set(key, config);
  }
  return {
    format: 1,
    app,
    release,
    repository: "acme/shop",
    commit: "",
    created: "2026-11-21T10:00:00Z",
    config,
    files: [],
    behaviour: {
      fault: spec.fault ?? "",
      laterMs: spec.laterMs ?? 3000,
      bootMs: spec.bootMs ?? 120,
      stops: spec.stops ?? "at once",
    },
  };
}

function settingsOf(app: string, spec: BundleSpec): object {
  const kind = spec.protocol === "uwsgi" ? "uwsgi" : "gunicorn";
  const { bind, balance, site, keepWarm = "5s", watch = "4s", processes, instances = 2 } = spec;
  return {
    app,
    server: { kind, app: "shop.wsgi:application", instances, ...(bind !== undefined && { bind }) },
    health: { timeout: "3s" },
    drain: { timeout: "2s" },
    keep: 2,
    keep_warm: keepWarm,
    watch,
    ...(spec.command && { release: { command: "migrate", timeout: "1m" } }),
    ...(processes !== undefined && { processes: processesOf(processes, spec.stops === "never" ? "40s" : "2s") }),
    site:
      site === "none"
        ? "none"
        : {
            ...(balance !== undefined && { balance }),
            ...(site === "foreign" && { server_name: ["other.example.org"] }),
            ...(site === "addressed" && { listen: [80] }),
            ...(site === "preview" && { preview: { cookie: "preview=blue" } }),
          },
  };
}

function processesOf(kind: "overlap" | "alone", stop: string): object {
  const worker = { command: "work {instance}", stop_timeout: stop, stay_up: "1s", overlap: kind === "overlap" };
  return { worker };
}
