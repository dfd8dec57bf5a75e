import fc from "fast-check";
import { Bundle } from "../../../action/bundle/bundle.ts";
import { listFiles, makeManifest, readForBundle } from "../../../action/bundle/manifest.ts";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { noManifests } from "../../../action/client/live-files.ts";
import { HostApp } from "../../../action/hosts/host-app.ts";
import { HostDeploy } from "../../../action/hosts/host-deploy.ts";
import { HostLog } from "../../../action/hosts/host-log.ts";
import { readInputs } from "../../../action/inputs.ts";
import type { Job } from "../../../action/job.ts";
import { newJobReport } from "../../../action/report/job-report.ts";
import { runOn } from "../../../action/run.ts";
import { cancelledError, timedOutError } from "../../../action/runner/cancellation.ts";
import { type Console, Log } from "../../../action/runner/log.ts";
import { asCutoverError } from "../../../shared/errors.ts";
import { configOf, Workspace } from "../../action/workspace.ts";
import { type Behaviour, SimulatedHost } from "./simulated-host.ts";
import { type Fault, newRelease, type Outage, simulatedNetwork } from "./simulated-network.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface HostHistory {
  behaviour: Behaviour;
  faults: Fault[];
  outages: Outage[];
}

export interface History {
  command: "deploy" | "stage" | "activate" | "redeploy" | "rollback";
  canary: boolean;
  /** The n-th run of the canary-check fails. */
  checkFailsAt: number;
  releaseCommand: boolean;
  waitS: number;
  hosts: HostHistory[];
  timeoutS: number;
  cancelMs: number | undefined;
}

const state = fc.constantFrom("unpacked", "released", "healthy", "cut_over", "drained", "done" as const);
const kind = fc.constantFrom("deploy", "activate", "activate", "redeploy", "rollback");
const fault = fc.record({
  kind: fc.constantFrom<Fault["kind"]>(
    "none",
    "none",
    "none",
    "refused",
    "request lost",
    "answer lost",
    "silent",
    "gateway timeout",
    "bad gateway",
    "slow",
    "cut",
  ),
  ms: fc.integer({ min: 0, max: 200_000 }),
});
/** Nothing but streams that are cut, as a balancer with a limit does it. */
const cut = fc.record({ kind: fc.constant<Fault["kind"]>("cut"), ms: fc.integer({ min: 0, max: 200_000 }) });
const outage = fc
  .tuple(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 1000, max: 200_000 }))
  .map(([fromMs, ms]) => ({ fromMs, toMs: fromMs + ms }));

const behaviour = fc.record({
  stateMs: fc.constantFrom(10, 1000, 10_000, 40_000, 150_000),
  fails: fc.option(fc.record({ kind, state }) as fc.Arbitrary<NonNullable<Behaviour["fails"]>>, {
    nil: undefined,
    freq: 3,
  }),
  keepsWhatFails: fc.boolean(),
  canaryFailsAt: fc.option(fc.constantFrom(5, 50), { nil: undefined, freq: 6 }),
  mayNotRead: fc.boolean(),
  protocol: fc.constantFrom(1, 1, 1, 1, 1, 1, 1, 1, 1, 2),
  busyUntilMs: fc.constantFrom(0, 0, 0, 0, 30_000),
});

/** A job, its hosts, and all that goes wrong on the way. */
export const histories: fc.Arbitrary<History> = fc.record({
  command: fc.constantFrom("deploy", "deploy", "deploy", "deploy", "stage", "activate", "redeploy", "rollback"),
  canary: fc.boolean(),
  checkFailsAt: fc.constantFrom(0, 0, 0, 1, 2),
  releaseCommand: fc.boolean(),
  waitS: fc.constantFrom(0, 0, 60),
  hosts: fc.array(
    fc.record({
      behaviour,
      faults: fc.oneof(fc.constant<Fault[]>([]), fc.array(fault, { maxLength: 20 }), fc.array(cut, { maxLength: 20 })),
      outages: fc.oneof({ arbitrary: fc.constant<Outage[]>([]), weight: 3 }, fc.array(outage, { maxLength: 2 })),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  timeoutS: fc.oneof(fc.constant(1200), fc.constant(5000), fc.integer({ min: 1, max: 400 })),
  cancelMs: fc.option(fc.integer({ min: 0, max: 400_000 }), { nil: undefined, freq: 3 }),
});

const silence: Console = { info() {}, startGroup() {}, endGroup() {}, error() {}, warning() {}, setSecret() {} };
let known: Promise<Bundle> | undefined;

/** One real bundle, on the disk before any history begins: in a history there is no time for a disk. */
export function simulatedBundle(): Promise<Bundle> {
  known ??= makeBundle();
  return known;
}

async function makeBundle(): Promise<Bundle> {
  using space = new Workspace({ "p/shop/wsgi.py": "application = 1\n" });
  const config = configOf();
  const files = readForBundle(listFiles(config, space.at("p"), []));
  const made = new Date("2026-11-21T10:30:00Z");
  const manifest = makeManifest({ config, files, made, repository: "", commit: "3f2c1ab".padEnd(40, "0") });
  const { signal } = new AbortController();
  const bundle = new Bundle({ manifest, files, directory: space.path, signal, onPacked: () => undefined });
  await bundle.archive();
  return bundle;
}

export interface Told {
  job: Job;
  hosts: SimulatedHost[];
  deploys: HostDeploy[];
  failed: boolean;
  endedMs: number;
  stoppedMs: number | undefined;
}

/** Runs the job of a history, with the Action's own code, to its end. */
export async function runHistory(history: History, limitMs: number): Promise<Told> {
  const bundle = await simulatedBundle();
  const time = new VirtualTime();
  const [stop, cancel] = [new AbortController(), new AbortController()];
  let stoppedMs: number | undefined;
  const stopWith = (reason: Error) => {
    stoppedMs ??= time.elapsed();
    stop.abort(reason);
  };
  time.after(history.timeoutS * 1000, () => stopWith(timedOutError(history.timeoutS * 1000)));
  if (history.cancelMs !== undefined) {
    time.after(history.cancelMs, () => {
      stopWith(cancelledError());
      cancel.abort();
    });
  }
  const hosts = history.hosts.map((each, index) => new SimulatedHost(`web${index}`, each.behaviour, time));
  const job = jobOf(history, time, stop.signal, cancel.signal);
  const deploys = hosts.map((host, index) => {
    const { faults = [], outages = [] } = history.hosts[index] ?? {};
    const send = simulatedNetwork({ host, time, faults, outages });
    const client = new AgentClient(new URL(`https://web${index}.example.com`), { send, time });
    const tokens = { token: async () => "token" };
    const app = new HostApp({
      app: "shop",
      client,
      tokens,
      waitMs: job.inputs.waitMs,
      allowOlder: false,
      manifests: noManifests,
    });
    return new HostDeploy({
      app,
      log: new HostLog(job.effects.log, client.host, "groups"),
      now: () => time.elapsed(),
      time,
    });
  });
  job.report.hosts = deploys.map(({ report }) => report);
  // As on a host to which somebody has brought the release before.
  if (history.command === "activate") for (const host of hosts) host.previous = newRelease;
  let failed = false;
  const pack = async () => {
    job.report.release = bundle.release;
    return bundle;
  };
  const work = runOn(deploys, job, pack).catch((thrown: unknown) => {
    failed = true;
    job.report.failure = asCutoverError(thrown, "runner");
  });
  await time.until(work, limitMs);
  return { job, hosts, deploys, failed, endedMs: time.elapsed(), stoppedMs };
}

function jobOf(history: History, time: VirtualTime, signal: AbortSignal, cancelled: AbortSignal): Job {
  const { command, canary, checkFailsAt, releaseCommand, waitS } = history;
  const inputs = readInputs({
    INPUT_HOSTS: history.hosts.map((_, index) => `https://web${index}.example.com`).join("\n"),
    INPUT_COMMAND: command,
    INPUT_THIN: "false",
    INPUT_WAIT: `${waitS}s`,
    ...(command === "activate" && { INPUT_RELEASE: newRelease }),
    ...(command === "deploy" && canary && { INPUT_CANARY: "5@10s, 50@60s, 100", "INPUT_CANARY-CHECK": "check" }),
  });
  let checks = 0;
  const exec = async () => {
    await time.sleep(500);
    const ok = ++checks !== checkFailsAt;
    return { ok, how: "It ended.", stdout: "", output: "" };
  };
  const connect = (): never => {
    throw new Error("the hosts are connected");
  };
  const log = new Log(silence);
  return {
    inputs,
    config: configOf(releaseCommand ? { release: { command: "migrate" } } : {}),
    at: () => ({ line: 1, column: 1 }),
    directory: "/",
    early: [],
    advice: Promise.resolve([]),
    report: newJobReport(command, 0),
    effects: { env: {}, platform: "linux", now: () => time.elapsed(), exec, connect, log, signal, cancelled, time },
  };
}
