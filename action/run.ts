import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Config } from "../shared/config.ts";
import type { AgentClient } from "./agent-client.ts";
import { buildVenv } from "./build-venv.ts";
import { type Archive, Bundle } from "./bundle.ts";
import { checkFailed, raiseCanary } from "./canary.ts";
import { collectStatic } from "./collect.ts";
import { readConfig, siteUrl } from "./config.ts";
import type { Effects } from "./effects.ts";
import { childEnvironment, type Exec } from "./exec.ts";
import type { ReadFile } from "./file-bytes.ts";
import type { TokenSource } from "./github-tokens.ts";
import { HostLog } from "./host-log.ts";
import { HostRun } from "./host-run.ts";
import type { Inputs } from "./inputs.ts";
import type { JobReport } from "./job-report.ts";
import { listFiles, listProject, makeManifest, readForBundle } from "./pack.ts";
import { inPhase } from "./phase.ts";
import type { PackFile } from "./project.ts";
import { findCommit, releaseTime } from "./release.ts";
import { activateAll, deployAll, oneByOne, stageAll } from "./rollout.ts";
import { checkServerApp, checkServerAppPacked } from "./server-app.ts";
import { tokenSource } from "./sign.ts";
import { type VendoredWheels, vendorWheels, type WheelsContext, wheelsMode } from "./wheels.ts";

/** What the steps of a job share. */
export interface Job {
  inputs: Inputs;
  effects: Effects;
  report: JobReport;
  config: Config;
  /** The project. */
  directory: string;
}

/** The whole job. What is known of it stands in the report at every moment, also when it throws a CutoverError. */
export async function run(inputs: Inputs, effects: Effects, report: JobReport): Promise<void> {
  const directory = resolve(effects.env.GITHUB_WORKSPACE ?? ".", inputs.workingDirectory);
  const config = await readConfig(directory, inputs.config, (line) => effects.log.line(line));
  report.app = config.app;
  report.url = siteUrl(config);
  const job: Job = { inputs, effects, report, config, directory };
  if (inputs.dryRun) await pack(job, []);
  else await roll(job);
}

async function roll(job: Job): Promise<void> {
  const { inputs, effects, config } = job;
  const { command, release } = inputs;
  const { signal } = effects;
  const { signingKey } = inputs;
  const mask = (secret: string) => effects.log.mask(secret);
  const tokens = await tokenSource({ signingKey, env: effects.env, now: effects.now, mask });
  const clients = inputs.hosts.map((url) => effects.connect(url));
  for (const url of inputs.hosts) warnOfPlainHttp(url, effects);
  const hosts = clients.map((client) => hostRun(job, client, tokens, clients.length === 1));
  job.report.hosts = hosts.map((host) => host.report);
  const packs = command === "deploy" || command === "stage";
  if (packs) checkServerApp(config, job.directory);
  await checkAll(hosts, signal);
  if (packs && inputs.thin) for (const { upload } of hosts) upload.askForBase(signal);
  switch (command) {
    case "deploy":
      return deployAll(hosts, {
        bundle: await pack(job, hosts),
        releaseCommand: config.release !== undefined,
        raise: inputs.canary.length > 0 ? (all) => raise(job, all) : undefined,
        signal,
      });
    case "stage":
      return stageAll(hosts, { bundle: await pack(job, hosts), releaseCommand: config.release !== undefined, signal });
    case "activate":
      job.report.release = release ?? "";
      if (inputs.weight === 100) return activateAll(hosts, release ?? "", signal);
      return oneByOne(hosts, (host) => host.shift(release ?? "", inputs.weight, signal), signal);
    case "redeploy":
      return oneByOne(hosts, (host) => host.redeploy(release, signal), signal);
    case "rollback":
      return oneByOne(hosts, (host) => host.rollback(signal), signal);
  }
}

/** The steps of a gray release, each followed by the workflow's own check. */
function raise({ inputs, effects, report, directory }: Job, hosts: HostRun[]): Promise<void> {
  const { signal, log, env } = effects;
  const release = report.release ?? "";
  const check = async (weight: number) => {
    if (inputs.canaryCheck.length === 0) return;
    const variables = { CUTOVER_RELEASE: release, CUTOVER_WEIGHT: String(weight) };
    const { code, output } = await effects.exec({
      argv: inputs.canaryCheck,
      cwd: directory,
      env: { ...childEnvironment(env), ...variables },
      onLine: (line) => log.untrusted(line),
      signal,
    });
    if (code !== 0) throw checkFailed(weight, code, output);
  };
  return raiseCanary(hosts, { release, steps: inputs.canary, check, say: (line) => log.line(line), signal });
}

/** A token is good for one call on one host, but what a bundle holds could be read on the way. */
function warnOfPlainHttp({ protocol, hostname, host }: URL, { log }: Effects): void {
  if (protocol === "https:" || hostname === "localhost" || hostname.startsWith("127.") || hostname === "[::1]") return;
  log.line(`${host}: without https, what is sent can be read on the way. Give the agent a certificate.`);
}

/** All agents that are missing are told together. */
async function checkAll(hosts: HostRun[], signal: AbortSignal): Promise<void> {
  const checks = await Promise.allSettled(hosts.map((host) => host.check(signal)));
  const failed = checks.find((check) => check.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

function hostRun({ inputs, effects, config }: Job, client: AgentClient, tokens: TokenSource, alone: boolean): HostRun {
  const log = new HostLog(effects.log, client.host, alone);
  return new HostRun({ app: config.app, client, tokens, log, waitMs: inputs.waitMs, now: effects.now });
}

/** From the project to archives on this runner's disk, one for each set of files that the hosts have. */
async function pack(job: Job, hosts: HostRun[]): Promise<Bundle> {
  const { effects, report, directory } = job;
  const { env, now, signal } = effects;
  checkServerApp(job.config, directory);
  const { config, wheels } = await withWheels(job);
  const early = await collectAndRead(job, config, wheels);
  const bundle = await inPhase(job, "manifest", async () => {
    const listed = listFiles(config, directory, wheels?.files ?? []);
    checkServerAppPacked(config, directory, listed);
    const files = readForBundle(listed, early);
    const made = releaseTime(env, now());
    const commit = await findCommit(directory, env);
    const repository = env.GITHUB_REPOSITORY ?? "";
    const manifest = makeManifest({ config, files, made, repository, commit });
    const onPacked = (archive: Archive) => tellPacked(job, archive, files.length);
    return new Bundle({ manifest, files, directory: env.RUNNER_TEMP ?? tmpdir(), signal, onPacked });
  });
  report.release = bundle.release;
  report.digest = bundle.digest;
  await inPhase(job, "pack", async () => {
    if (hosts.length === 0) await bundle.archive();
    await Promise.all(hosts.map(({ upload }) => upload.archive(bundle, signal)));
  });
  return bundle;
}

function tellPacked({ report, effects }: Job, { path, base, files }: Archive, all: number): void {
  // The whole one is good for any host.
  if (base === undefined || report.bundle === undefined) report.bundle = path;
  const [sent, of] = [files, all].map(grouped);
  const release = `${report.release}, manifest ${report.digest}`;
  if (base === undefined) effects.log.line(`Packed ${of} files as ${release}.`);
  else effects.log.line(`Packed ${sent} of ${of} files as ${release}; hosts with ${base} have the others.`);
}

/** 2,947. By hand, since the first toLocaleString of a process takes ten milliseconds. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** The wheels, and the configuration with what was decided about Python: the host must not decide it again. */
async function withWheels(job: Job): Promise<{ config: Config; wheels: VendoredWheels | undefined }> {
  const { config, directory, effects } = job;
  const mode = wheelsMode(config, directory);
  const python = { ...config.python, wheels: mode };
  if (mode !== "vendor") return { config: { ...config, python }, wheels: undefined };
  const wheels = await inPhase(job, "wheels", () => vendorWheels(config, wheelsContext(job)));
  effects.log.line(`${wheels.files.length} wheels ${wheels.reused ? "of an earlier run" : "from pip"}.`);
  const version = config.python.version ?? (wheels.platformSpecific ? wheels.version : undefined);
  return { config: { ...config, python: { ...python, ...(version !== undefined && { version }) } }, wheels };
}

/** The project's own files are read while its static files are collected; what the collecting changes is read again. */
async function collectAndRead(job: Job, config: Config, wheels: VendoredWheels | undefined): Promise<ReadFile[]> {
  if (config.static.every(({ collect }) => collect === undefined)) return [];
  return inPhase(job, "collect static files", async () => {
    const context = wheelsContext(job);
    const bin = wheels?.interpreter && (await buildVenv(config, wheels, wheels.interpreter, context));
    let read: ReadFile[] = [];
    const exec: Exec = (request) => {
      const running = context.exec(request);
      if (read.length === 0) read = readEarly(config, job.directory, wheels?.files ?? []);
      return running;
    };
    await collectStatic(config, { ...context, bin, exec });
    return read;
  });
}

/** What cannot be read now, since the command is changing it, is read after the command, and only then is it an error. */
function readEarly(config: Config, directory: string, wheels: PackFile[]): ReadFile[] {
  try {
    const kept = config.static.every(({ from }) => existsSync(join(directory, from)));
    // Static files of an earlier run: most of them will come out the same.
    return readForBundle(kept ? listFiles(config, directory, wheels) : [...listProject(config, directory), ...wheels]);
  } catch {
    return [];
  }
}

function wheelsContext({ inputs, effects, directory }: Job): WheelsContext {
  const { env, exec, signal, log } = effects;
  const onLine = (line: string) => log.untrusted(line);
  return { directory, env, exec, signal, pipArguments: inputs.pipArguments, onLine };
}
