import { join } from "node:path";
import { findCause, releaseFile } from "../../../shared/causes/cause.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { BuildContext } from "../../contracts/ports.ts";
import type { StepRequest, StepRunner } from "../exec/step.ts";
import type { ViewMount } from "../exec/step-view.ts";
import type { AppLayout } from "../store/layout.ts";
import type { EnvironmentContent } from "./environment-key.ts";
import { type Interpreter, interpreterEnvironment, makerOf, pipVersion } from "./interpreter.ts";
import { type VenvWork, venvFailed, venvProgram } from "./venv-program.ts";
import { requirementLines } from "./wheels.ts";

export interface VenvRequest {
  context: BuildContext;
  layout: AppLayout;
  interpreter: Interpreter;
  content: EnvironmentContent;
  /** Where the environment stays: its scripts hold the path. */
  directory: string;
  /** Directories that the build may write, if it is not this user's; they appear in the place of these two. */
  scratch?: { environment: string; release: string } | undefined;
  runStep: StepRunner;
}

const timeoutMs = 30 * 60_000;
const evidenceLines = 40;
const unchanged = "The live release goes on serving.";
/** The first pip that can install into another environment than its own. */
const oldestPip = [22, 3] as const;

/** Makes a virtual environment and installs into it. @throws CutoverError environment_failed, disk_full, aborted */
export async function makeVenv(request: VenvRequest): Promise<void> {
  const { context, content, directory, layout } = request;
  const base = {
    directory,
    systemSitePackages: context.manifest.config.python.system_site_packages,
    cwd: layout.release(context.release),
  };
  switch (content.mode) {
    case "vendor":
      return await install(request, { ...base, ...wheelsWork(request, requirementLines(content.wheels)) }, noConfig);
    case "index":
      return await install(request, { ...base, ...requirementsWork(request, content) }, { network: true });
    case "none":
      return await install(request, base);
  }
}

const noConfig = { env: { PIP_CONFIG_FILE: "/dev/null" } };
type StepPlace = Partial<Pick<StepRequest, "env" | "network">>;

function wheelsWork(request: VenvRequest, requirements: string): Pick<VenvWork, "pip" | "requirements"> {
  const { context, layout } = request;
  // `--no-index` and `--only-binary` would still allow URLs and local projects. With hashes pip takes only these files.
  const only = ["--no-index", "--find-links", layout.wheels(context.release), "--only-binary", ":all:"];
  const exact = ["--no-deps", "--require-hashes", "--ignore-installed", "-r", "REQUIREMENTS"];
  return { pip: pipWords(request, [...only, ...exact]), requirements };
}

/** The host's /etc/pip.conf says which index pip uses. */
function requirementsWork(
  request: VenvRequest,
  { requirements, extra, local }: EnvironmentContent & { mode: "index" },
): Pick<VenvWork, "pip" | "cwd" | "copy"> {
  const { layout, context, scratch } = request;
  // pip takes local paths in a requirements file as relative to its working directory.
  const cwd = layout.app(context.release);
  const file = requirements === undefined ? [] : ["-r", `./${requirements}`];
  const pip = pipWords(request, [...file, ...extra]);
  if (!local) return { pip, cwd };
  const mounted = scratch !== undefined;
  const at = layout.release(context.release);
  return { pip, cwd, copy: { from: mounted ? join(originals(layout), context.release) : at, at, mounted } };
}

/** Where a build that has a copy of its release sees the releases themselves. */
function originals({ home }: AppLayout): string {
  return join(home, "originals");
}

function pipWords({ interpreter, directory }: VenvRequest, options: string[]): string[] {
  const target = ["--python", join(directory, "bin", "python")];
  const quiet = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"];
  return [makerOf(interpreter), "-I", "PIP", ...target, "install", ...quiet, ...options];
}

/**
 * What the step sees of the data directory. A release's own directory is the agent's, so nothing is mounted below `releases`
 * where that is the host's own.
 */
function mounts({ scratch, layout, directory, context }: VenvRequest, { copy }: VenvWork): ViewMount[] | undefined {
  if (scratch === undefined) return undefined;
  const environment = { source: scratch.environment, target: directory, writable: true };
  const releases = { source: layout.releases, writable: false };
  if (copy === undefined) return [{ ...releases, target: layout.releases }, environment];
  const release = { source: scratch.release, target: layout.release(context.release), writable: true };
  return [{ ...releases, target: originals(layout) }, release, environment];
}

async function install(request: VenvRequest, work: VenvWork, place: StepPlace = {}): Promise<void> {
  try {
    await step(request, work, place);
  } catch (thrown) {
    const byPip = work.pip !== undefined && thrown instanceof CutoverError && thrown.code === "environment_failed";
    if (byPip) await refuseOldPip(request.interpreter, thrown);
    throw thrown;
  }
}

/** Called only if pip failed, because the answer takes a quarter of a second. */
async function refuseOldPip(interpreter: Interpreter, cause: unknown): Promise<void> {
  const version = await pipVersion(interpreter);
  const [major, minor] = version ?? [0, 0];
  if (major > oldestPip[0] || (major === oldestPip[0] && minor >= oldestPip[1])) return;
  const found = version === undefined ? "has no pip" : `has pip ${major}.${minor}`;
  throw new CutoverError("environment_failed", `${interpreter.path} ${found}; cutover needs ${oldestPip.join(".")}.`, {
    unchanged,
    fix: "Install pip on the host (Debian: apt install python3-venv, which brings pip's wheel), or use `python.wheels: none`.",
    cause,
  });
}

async function step(request: VenvRequest, work: VenvWork, { env = {}, network = false }: StepPlace): Promise<void> {
  const { context, layout, runStep, interpreter } = request;
  const last: string[] = [];
  const code = await runStep(context.app, {
    argv: [makerOf(interpreter), "-I", "-c", venvProgram],
    cwd: layout.release(context.release),
    network,
    mounts: mounts(request, work),
    input: JSON.stringify(work),
    env: { ...interpreterEnvironment, ...env },
    timeoutMs,
    signal: context.signal,
    onLine: (line) => {
      last.push(line);
      if (last.length > evidenceLines) last.shift();
      context.onOutput("pip", line);
    },
  });
  if (code !== 0) throw failed(context.app, code === venvFailed ? "venv" : "pip", code, last);
}

function failed(app: string, source: string, code: number, lines: string[]): CutoverError {
  const evidence = [{ source, text: lines.join("\n") }];
  if (lines.some((line) => line.includes("No space left on device"))) {
    return new CutoverError("disk_full", `The host's disk was full while ${source} ran.`, {
      unchanged,
      fix: "Free disk space on the host, then deploy again.",
      evidence,
    });
  }
  const cause = findCause(lines.join("\n"), { app, where: "host", projectFile: releaseFile, lastLine: true });
  const why = cause === undefined ? `exit code ${code}` : cause.line;
  return new CutoverError("environment_failed", `${source} failed on the host: ${why}`, {
    unchanged,
    fix:
      cause?.fix ??
      (source === "pip"
        ? "Read pip's message. Wheels must fit the host's Python and platform, so vendor them on the same ones."
        : "Read the message. The host's Python needs its venv module (Debian: apt install python3-venv)."),
    evidence,
  });
}
