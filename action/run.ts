import { resolve } from "node:path";
import { CutoverError } from "../shared/errors.ts";
import { findProgram } from "../shared/find-program.ts";
import type { Bundle } from "./bundle/bundle.ts";
import { ManifestCache } from "./bundle/manifest-cache.ts";
import { pack, readEarly } from "./bundle/pack.ts";
import { checkFailed, raiseCanary } from "./hosts/canary.ts";
import { HostApp } from "./hosts/host-app.ts";
import { HostDeploy } from "./hosts/host-deploy.ts";
import { HostLog, type LogMode } from "./hosts/host-log.ts";
import { activateAll, deployAll, onAll, stageAll } from "./hosts/rollout.ts";
import { planOf } from "./hosts/waves.ts";
import { builtHere, checkWheels } from "./hosts/wheel-fit.ts";
import type { Inputs } from "./inputs.ts";
import { type Effects, inPhase, type Job } from "./job.ts";
import { sayAdvice } from "./project/advice.ts";
import { checkProject } from "./project/check-project.ts";
import { readConfig, siteUrl } from "./project/config.ts";
import type { VendoredWheels } from "./python/wheels.ts";
import { type JobReport, manyHosts } from "./report/job-report.ts";
import { withoutSecrets } from "./runner/secrets.ts";
import { githubTokens } from "./tokens/github-tokens.ts";
import { keyTokens } from "./tokens/key-tokens.ts";
import type { TokenSource } from "./tokens/token-source.ts";

/**
 * The whole job. At every moment the report contains what is known of it, also after a failure.
 * @throws CutoverError
 */
export async function run(inputs: Inputs, effects: Effects, report: JobReport): Promise<void> {
  const job = await readJob(inputs, effects, report);
  try {
    await carryOutJob(job);
  } finally {
    await sayAdvice(job);
  }
}

async function carryOutJob(job: Job): Promise<void> {
  const { inputs } = job;
  if (sendsBundle(inputs)) job.early = await checkProject(job, () => readEarly(job));
  if (inputs.dryRun) {
    const bundle = await pack(job);
    await inPhase(job, "pack", () => bundle.archive());
    return;
  }
  const hosts = await connect(job);
  if (inputs.canaryCheck.length > 0) canaryCheckProgram(job);
  await runOn(hosts, job, packFor);
}

/**
 * The job on hosts that are connected.
 * @param pack makes the bundle, and what each host gets of it
 */
export async function runOn(hosts: HostDeploy[], job: Job, pack: typeof packFor): Promise<void> {
  await checkAll(hosts, job.effects.signal);
  await carryOut(hosts, job, pack);
}

/** Reads cutover.yml. */
async function readJob(inputs: Inputs, effects: Effects, report: JobReport): Promise<Job> {
  const directory = resolve(effects.env.GITHUB_WORKSPACE ?? ".", inputs.workingDirectory);
  const { config, at } = await readConfig(directory, inputs.config, (line) => effects.log.line(line));
  report.app = config.app;
  report.url = siteUrl(config);
  return { inputs, effects, report, config, at, directory, early: [], advice: Promise.resolve([]) };
}

/** One HostDeploy for each host. Nothing is sent yet. */
async function connect(job: Job): Promise<HostDeploy[]> {
  const { inputs, effects, config } = job;
  const tokens = await tokensFor(job);
  for (const url of inputs.hosts) warnOfPlainHttp(url, effects);
  const manifests = new ManifestCache(job.directory);
  const hosts = inputs.hosts.map((url) => {
    const client = effects.connect(url);
    const app = new HostApp({
      app: config.app,
      client,
      tokens,
      waitMs: inputs.waitMs,
      allowOlder: inputs.allowOlder,
      manifests,
    });
    const log = new HostLog(effects.log, client.host, logMode(inputs.hosts.length));
    return new HostDeploy({ app, log, now: effects.now, time: effects.time });
  });
  job.report.hosts = hosts.map((host) => host.report);
  return hosts;
}

/** One host's lines are printed as they come, and of many hosts only what is not as usual. */
function logMode(hosts: number): LogMode {
  return hosts === 1 ? "live" : hosts > manyHosts ? "quiet" : "groups";
}

async function tokensFor({ inputs, effects }: Job): Promise<TokenSource> {
  const { env, now, log } = effects;
  const mask = (secret: string) => log.mask(secret);
  return inputs.signingKey === ""
    ? githubTokens({ env, mask })
    : await keyTokens({ signingKey: inputs.signingKey, env, now, mask });
}

/** A token is valid for one call on one host only. But without https the contents of a bundle could be read on the way. */
function warnOfPlainHttp({ protocol, hostname, host }: URL, { log }: Effects): void {
  if (protocol === "https:" || hostname === "localhost" || hostname.startsWith("127.") || hostname === "[::1]") return;
  log.line(`${host}: without https, what is sent can be read on the way. Give the agent a certificate.`);
}

/** Asks every agent, so that the report names every agent that is missing. */
async function checkAll(hosts: HostDeploy[], signal: AbortSignal): Promise<void> {
  const checks = await Promise.allSettled(hosts.map((host) => host.check(signal)));
  const failed = checks.find((check) => check.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

function sendsBundle({ command }: Inputs): boolean {
  return command === "deploy" || command === "stage";
}

/** Does what the input `command` says, on all hosts. */
async function carryOut(hosts: HostDeploy[], job: Job, pack: typeof packFor): Promise<void> {
  const { inputs, effects, report, config } = job;
  const { signal, log } = effects;
  const plan = planOf(config.rollout, inputs.rollout);
  const say = (line: string) => log.line(line);
  const options = { signal, ending: effects, plan, say };
  const releaseCommand = config.release !== undefined;
  const { release = "" } = inputs;
  switch (inputs.command) {
    case "deploy": {
      const raise = inputs.canary.length > 0 ? (all: HostDeploy[]) => raiseInSteps(job, all) : undefined;
      return deployAll(hosts, { bundle: await pack(job, hosts), releaseCommand, raise, ...options });
    }
    case "stage":
      return stageAll(hosts, { bundle: await pack(job, hosts), releaseCommand, ...options });
    case "activate":
      report.release = release;
      if (inputs.weight === 100) return activateAll(hosts, release, options);
      return onAll(hosts, (host) => host.shift(release, inputs.weight, signal), options);
    case "redeploy":
      return onAll(hosts, (host) => host.redeploy(inputs.release, signal), options);
    case "rollback":
      return onAll(hosts, (host) => host.rollback(signal), options);
  }
}

/**
 * Packs the bundle, in one archive for each set of files that hosts lack. Meanwhile the hosts say which files they
 * have.
 */
async function packFor(job: Job, hosts: HostDeploy[]): Promise<Bundle> {
  const { signal } = job.effects;
  if (job.inputs.thin) for (const { upload } of hosts) upload.askForBase(signal);
  const bundle = await pack(job, (wheels, version) => checkFit(job, hosts, { wheels, version }));
  // The next job's hosts have this release.
  if (job.inputs.thin) await new ManifestCache(job.directory).keep(bundle.digest, bundle.manifest);
  await inPhase(job, "pack", () => Promise.all(hosts.map(({ upload }) => upload.archive(bundle, signal))));
  return bundle;
}

/** Pure wheels that any Python takes fit every host, and no host is asked. */
async function checkFit(
  { effects }: Job,
  hosts: HostDeploy[],
  { wheels, version }: { wheels: VendoredWheels; version: string | undefined },
): Promise<void> {
  if (version === undefined) return;
  const views = await Promise.all(hosts.map((host) => host.system(effects.signal)));
  for (const [index, view] of views.entries()) {
    if (view !== undefined) checkWheels(wheels, version, { name: hosts[index]?.report.host ?? "", view });
  }
  const built = builtHere(wheels);
  if (built.length === 0 || views.every((view) => view !== undefined)) return;
  const libc = wheels.from.libc === "" ? "the C library of this runner" : wheels.from.libc;
  effects.log.line(`Built on this runner, so they need ${libc} or later on the hosts: ${built.join(", ")}.`);
}

/** Raises the canary step by step. After each step's time the workflow's own check decides whether it goes on. */
function raiseInSteps({ inputs, effects, report, config, directory }: Job, hosts: HostDeploy[]): Promise<void> {
  const { signal, log, env, time } = effects;
  const release = report.release ?? "";
  const check = async (weight: number) => {
    if (inputs.canaryCheck.length === 0) return;
    const variables = { CUTOVER_RELEASE: release, CUTOVER_WEIGHT: String(weight) };
    const { ok, how, output } = await effects.exec({
      argv: inputs.canaryCheck,
      cwd: directory,
      env: { ...withoutSecrets(env), ...variables },
      onLine: (line) => log.untrusted(line),
      signal,
    });
    if (!ok) throw checkFailed(weight, how, output);
  };
  const { parallel } = planOf(config.rollout, inputs.rollout);
  const say = (line: string) => log.line(line);
  return raiseCanary(hosts, { release, steps: inputs.canary, check, say, signal, time, parallel });
}

/** Looks for the command now: the canary's visitors must not wait for a typing error. @throws CutoverError input_invalid */
function canaryCheckProgram({ inputs, effects, directory }: Job): void {
  const [program = ""] = inputs.canaryCheck;
  if (findProgram(program, effects.env.PATH ?? "", directory) !== undefined) return;
  const where = program.includes("/") ? `in ${directory}` : "on PATH";
  throw new CutoverError("input_invalid", `Input canary-check: there is no program ${program} ${where}.`, {
    unchanged: "Nothing was sent.",
    fix: "Correct `with:` of this step. The command runs in working-directory, and its file must be executable.",
  });
}
