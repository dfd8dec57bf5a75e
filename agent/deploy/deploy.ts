import prettyMs from "pretty-ms";
import { argv } from "../../shared/command.ts";
import type { Config } from "../../shared/config.ts";
import { milliseconds } from "../../shared/duration.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Manifest } from "../../shared/manifest.ts";
import { commandsSince, notUndone } from "../../shared/release-commands.ts";
import type { RunSpec } from "../contracts/privileged.ts";
import type { DeployRequest } from "../contracts/service.ts";
import { assertHostPolicy } from "../host-policy.ts";
import { interruption, reach, runSpec, saveJournal, type Work } from "./context.ts";
import { isPause } from "./recovery/pause.ts";
import { roomMaker } from "./retention/disk-space.ts";
import { retire } from "./retention/retire.ts";
import { type AppState, addRelease, findRelease, liveRelease } from "./state.ts";
import { bringLive } from "./steps/cutover.ts";
import { waitHealthy } from "./steps/health.ts";
import { assertCanary, replaceStaged, setWeight, stage } from "./steps/staged.ts";

/** How long an agent that shuts down waits for a release command. */
const commandPatienceMs = 4000;

/** The main job, first half: from a body to a release on disk, every byte of it named by the token. */
export async function receive(work: Work, request: DeployRequest): Promise<Manifest> {
  const { ports, state, deployment } = work;
  const { base } = request;
  if (base !== undefined) assertBase(state, base);
  const makeRoom = roomMaker(work, base);
  // Before the body is asked for: a sender that waits for that sends nothing in vain.
  if (request.length !== undefined) await ports.releases.assertRoom(state.app, request.length, makeRoom);
  const { manifest } = await ports.releases.unpack(state.app, request.body(), {
    signal: deployment.signal,
    base,
    makeRoom,
    accept: async (manifest, digest) => {
      accept(work, request, manifest, digest);
      await assertReady(work, manifest.release, manifest.config);
      await ports.privileged.prepareApp(state.app);
      addRelease(state, manifest, digest);
      const run = manifest.release;
      state.journal = { deployment: deployment.view, run, from: state.live, brought: true, attempts: 0 };
      await reach(work, "verified");
    },
  });
  await reach(work, "unpacked");
  return manifest;
}

/**
 * The manifest of a release that was unpacked before the agent was started again: still the one that the token was signed
 * for, and still allowed. Until it is sealed its files are the app's user's.
 */
export async function unpacked(work: Work, release: string): Promise<Manifest> {
  const { ports, state, settings } = work;
  const { digest } = await ports.releases.files(state.app, release);
  if (digest !== findRelease(state, release)?.digest) {
    throw new CutoverError("manifest_mismatch", `The manifest of ${release} was changed on the host.`, {
      unchanged: "The live release goes on serving.",
      fix: "Deploy again. See what the build steps of the project write: nothing of it belongs outside of its own files.",
    });
  }
  const manifest = await ports.releases.manifest(state.app, release);
  assertHostPolicy(manifest.config, settings);
  await assertReady(work, release, manifest.config);
  return manifest;
}

/** Asked first, so that neither a build nor a release command is done in vain. @throws CutoverError supervisor_*, nginx_*, and others */
async function assertReady({ ports, state }: Work, run: string, config: Config): Promise<void> {
  await ports.privileged.checkSite(state.app, config);
  // What it answers is no matter: that it answers is.
  await ports.privileged.programs(state.app, run);
}

/** Whether a thin bundle may take files from this release: one that is still the app's user's may be half written. */
function assertBase(state: AppState, base: string): void {
  const record = findRelease(state, base);
  if (record !== undefined && ["live", "good", "staged"].includes(record.state)) return;
  const how = record === undefined ? "is not on this host" : `is ${record.state}`;
  throw new CutoverError("base_unusable", `The bundle leaves out files of the release ${base}, which ${how}.`, {
    unchanged: "Nothing was unpacked; the live release goes on serving.",
    fix: "Send the whole bundle, as the Action then does by itself.",
  });
}

/** Whether this bundle may become a release here; nothing has been written yet. */
function accept(
  { state, settings, deployment }: Work,
  request: DeployRequest,
  manifest: Manifest,
  digest: string,
): void {
  const unchanged = "Nothing was unpacked; the live release goes on serving.";
  if (request.digest !== undefined && request.digest !== digest) {
    throw new CutoverError("manifest_mismatch", "The bundle's manifest is not the one that the token was signed for.", {
      unchanged,
      fix: "Sign a token for the digest of this bundle: the `digest` output of the Action.",
    });
  }
  if (manifest.app !== state.app || manifest.config.app !== state.app) {
    throw new CutoverError("manifest_mismatch", `The bundle is for the app ${manifest.app}, not for ${state.app}.`, {
      unchanged,
      fix: "Set `app` in cutover.yml to the name that the host knows.",
    });
  }
  assertHostPolicy(manifest.config, settings);
  const known = findRelease(state, manifest.release);
  if (known !== undefined && known.state !== "failed") {
    throw new CutoverError(
      "release_exists",
      `The host already has a release ${manifest.release}, and it is ${known.state}.`,
      {
        unchanged,
        fix:
          known.digest === digest
            ? "Use `activate` or `redeploy` to give it traffic, or pack again for a new release."
            : "Pack again: another bundle took this release id.",
      },
    );
  }
  deployment.named(manifest.release);
}

/**
 * The main job, second half: build, release command, start, health, then traffic unless it is only staged. An agent that
 * shuts down leaves it between two steps, and its next start calls this again, which goes on there.
 */
export async function deploy(
  work: Work,
  manifest: Manifest,
  request: Pick<DeployRequest, "activate" | "releaseCommand">,
): Promise<"succeeded" | "staged"> {
  const { deployment } = work;
  const spec: RunSpec = {
    app: work.state.app,
    run: manifest.release,
    release: manifest.release,
    config: manifest.config,
  };
  if (!deployment.has("built")) await build(work, manifest);
  if (!deployment.has("released")) await releaseCommand(work, spec, request.releaseCommand);
  await bringUp(work, spec);
  if (!request.activate) return stage(work, spec);
  await bringLive(work, spec, false);
  return "succeeded";
}

/**
 * Traffic to a release that is on the host: staged, live before, or the live one again on fresh instances.
 * @param how `up`: its instances are; `weight`: in percent, below 100 for a canary
 */
export async function deployAgain(
  work: Work,
  run: string,
  { up, rollback, weight }: { up: boolean; rollback: boolean; weight: number },
): Promise<"succeeded" | "canary"> {
  const { ports, state, deployment } = work;
  const brought = false;
  state.journal = { deployment: deployment.view, run, from: state.live, brought, attempts: 0 };
  await saveJournal(work);
  const spec = await runSpec(work, run);
  assertHostPolicy(spec.config, work.settings);
  await assertReady(work, run, spec.config);
  await ports.privileged.prepareApp(state.app);
  if (weight < 100) await assertCanary(work, spec);
  for (const release of commandsSince(state.releases, spec.release, liveRelease(state))) {
    deployment.notice(notUndone(release));
  }
  if (up) {
    if (state.staged !== null && state.staged.weight > 0 && state.staged.run !== run) await replaceStaged(work);
    await waitHealthy(work, spec);
    await reach(work, "healthy");
  } else {
    await restoreEnvironment(work, spec);
    await bringUp(work, spec);
  }
  if (weight < 100) return setWeight(work, spec, weight);
  await bringLive(work, spec, rollback);
  return "succeeded";
}

async function build(work: Work, manifest: Manifest): Promise<void> {
  const { ports, state, deployment } = work;
  const { app } = state;
  const { release } = manifest;
  const onOutput = (source: string, line: string) => deployment.output(source, line);
  const reuse = liveRelease(state);
  // Only half of an environment is thrown away and made anew, so an agent that shuts down need not wait for pip.
  const context = { app, release, manifest, onOutput, signal: interruption(work), reuse };
  const { key, reused } = await ports.environments.build(context);
  await ports.privileged.sealRelease(app, release);
  await reach(work, "built", reused ? `environment ${key} reused` : `environment ${key} made`);
}

/** An environment may have been collected since the release had traffic; its wheels are still there. */
async function restoreEnvironment(work: Work, { app, release }: RunSpec): Promise<void> {
  const { ports, deployment } = work;
  if (await ports.environments.present(app, release)) return;
  deployment.notice(`the environment of ${release} was removed; it is built again`);
  const manifest = await ports.releases.manifest(app, release);
  const onOutput = (source: string, line: string) => deployment.output(source, line);
  const context = { app, release, manifest, onOutput, signal: interruption(work), reuse: null, sealed: true };
  const { key } = await ports.environments.build(context);
  await ports.privileged.sealRelease(app, release);
  await reach(work, "built", `environment ${key} made again`);
}

async function releaseCommand(work: Work, spec: RunSpec, wanted: boolean): Promise<void> {
  const { ports, deployment } = work;
  const { release } = spec.config;
  if (release === undefined) return reach(work, "released", "no release command");
  if (!wanted) return reach(work, "released", "the release command ran on another host");
  const last: string[] = [];
  work.stopping.throwIfAborted();
  // Written down before it runs: one that was cut short has done something too.
  const record = findRelease(work.state, spec.release);
  if (record !== undefined) record.commanded = true;
  await saveJournal(work);
  const ended = new AbortController();
  const command = ports.privileged.runCommand(spec, {
    argv: argv(release.command),
    timeoutMs: milliseconds(release.timeout),
    source: "release",
    signal: AbortSignal.any([deployment.signal, commandLimit(work, ended.signal)]),
    onOutput: (source, line) => {
      deployment.output(source, line);
      last.push(line);
      if (last.length > 60) last.shift();
    },
  });
  const code = await command.finally(() => ended.abort());
  if (code !== 0) {
    throw new CutoverError("release_command_failed", `The release command ended with exit code ${code}.`, {
      unchanged: "The live release goes on serving. What the command itself did before it failed, stays done.",
      fix: "Its output is below. Correct it and deploy again.",
      evidence: [{ source: "release", text: last.join("\n") }],
    });
  }
  await reach(work, "released");
}

/**
 * A command may not be able to run twice, so it is never left half done for the next start: an agent that shuts down waits
 * a while for its end, and then ends it, which undoes the deployment.
 */
function commandLimit({ ports, stopping }: Work, ended: AbortSignal): AbortSignal {
  const limit = new AbortController();
  const end = () => limit.abort(cutShort());
  const wait = () => ports.clock.sleep(commandPatienceMs, ended).then(end, () => undefined);
  stopping.addEventListener("abort", wait, { once: true, signal: ended });
  return limit.signal;
}

function cutShort(): CutoverError {
  return new CutoverError(
    "release_command_failed",
    `The agent was shut down, and the release command did not end within ${prettyMs(commandPatienceMs)} of that: it was ended.`,
    {
      unchanged: "The live release goes on serving. What the command itself did until then, stays done.",
      fix: "See what the command had done. Deploying again runs it again, from its beginning.",
    },
  );
}

/** Stopping what is still warm takes a second or more, so it happens while the new instances start. */
async function bringUp(work: Work, spec: RunSpec): Promise<void> {
  work.stopping.throwIfAborted();
  const cleared = failureOf(makeRoom(work, spec));
  const started = await failureOf(startHealthy(work, spec));
  // An agent that shuts down does not wait for what is being retired: the next start takes that away before it goes on.
  if (started !== undefined && isPause(work, started.reason)) throw started.reason;
  const failure = (await cleared) ?? started;
  if (failure !== undefined) throw failure.reason;
}

function failureOf(work: Promise<void>): Promise<{ reason: unknown } | undefined> {
  return work.then(
    () => undefined,
    (reason: unknown) => ({ reason }),
  );
}

async function startHealthy(work: Work, spec: RunSpec): Promise<void> {
  await work.ports.privileged.startPrograms(spec);
  await reach(work, "started");
  await waitHealthy(work, spec);
  await reach(work, "healthy");
}

/**
 * No more than two releases stay up: what is still warm is retired, what was staged is replaced. Each is written off first:
 * whatever cuts this short then finds a run that the state does not know, and takes it away to the end.
 */
async function makeRoom(work: Work, spec: RunSpec): Promise<void> {
  const { state, deployment } = work;
  if (state.warm !== null && state.warm.run !== spec.run) {
    const { run } = state.warm;
    state.warm = null;
    await saveJournal(work);
    const cut = await retire(work, run);
    if (cut > 0) deployment.cut(cut);
    deployment.notice(`${run} was warm and is retired`);
  }
  if (state.staged !== null && state.staged.run !== spec.run) await replaceStaged(work);
}
