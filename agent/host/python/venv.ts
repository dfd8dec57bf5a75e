import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { BuildContext } from "../../contracts/ports.ts";
import type { StepRequest, StepRunner } from "../exec/step.ts";
import type { AppLayout } from "../store/layout.ts";
import type { EnvironmentContent } from "./environment-key.ts";
import { type Interpreter, interpreterEnvironment, pipVersion } from "./interpreter.ts";
import { requirementLines } from "./wheels.ts";

export interface VenvRequest {
  context: BuildContext;
  layout: AppLayout;
  interpreter: Interpreter;
  content: EnvironmentContent;
  /** Where the environment is built and stays: its scripts hold the path. */
  directory: string;
  runStep: StepRunner;
}

const timeoutMs = 30 * 60_000;
const evidenceLines = 40;
const unchanged = "The live release goes on serving.";
/** The first pip that can install into another environment than its own. */
const oldestPip = [22, 3] as const;

/** Makes a virtual environment and installs into it. @throws CutoverError environment_failed, disk_full, aborted */
export async function makeVenv(request: VenvRequest): Promise<void> {
  const { context, interpreter, content, directory } = request;
  const site = context.manifest.config.python.system_site_packages ? ["--system-site-packages"] : [];
  await step(request, "venv", [interpreter.path, "-I", "-m", "venv", "--without-pip", ...site, directory]);
  switch (content.mode) {
    case "vendor":
      return await installWheels(request, requirementLines(content.wheels));
    case "index":
      return await installRequirements(request, content);
    case "none":
      return;
  }
}

async function installWheels(request: VenvRequest, lines: string): Promise<void> {
  const { context, layout } = request;
  // In the release's directory, where the app's user can read it; not among the project's files.
  const file = join(layout.release(context.release), ".requirements.txt");
  // The app's user may own the directory by now, so a link must not be followed.
  await rm(file, { force: true });
  await writeFile(file, lines, { mode: 0o644, flag: "wx" });
  try {
    // `--no-index` and `--only-binary` would still allow URLs and local projects. With hashes pip takes only these files.
    const only = ["--no-index", "--find-links", layout.wheels(context.release), "--only-binary", ":all:"];
    const exact = ["--no-deps", "--require-hashes", "--ignore-installed", "-r", file];
    await pip(request, [...only, ...exact], { env: { PIP_CONFIG_FILE: "/dev/null" } });
  } finally {
    await rm(file, { force: true });
  }
}

/** The host's /etc/pip.conf says which index pip uses. */
async function installRequirements(
  request: VenvRequest,
  { requirements, extra }: EnvironmentContent & { mode: "index" },
): Promise<void> {
  // pip takes local paths in a requirements file as relative to its working directory.
  const cwd = request.layout.app(request.context.release);
  const file = requirements === undefined ? [] : ["-r", join(cwd, requirements)];
  await pip(request, [...file, ...extra], { cwd, network: true });
}

type StepPlace = Partial<Pick<StepRequest, "env" | "cwd" | "network">>;

async function pip(request: VenvRequest, options: string[], place: StepPlace): Promise<void> {
  const { interpreter, directory } = request;
  const target = ["--python", join(directory, "bin", "python")];
  const quiet = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"];
  const argv = [interpreter.path, "-I", "-m", "pip", ...target, "install", ...quiet, ...options];
  try {
    await step(request, "pip", argv, place);
  } catch (thrown) {
    if (thrown instanceof CutoverError && thrown.code === "environment_failed") await refuseOldPip(interpreter, thrown);
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
    fix: "Install pip on the host (Debian: apt install python3-pip), or use `python.wheels: none`.",
    cause,
  });
}

async function step(request: VenvRequest, source: string, argv: string[], place: StepPlace = {}): Promise<void> {
  const { context, layout, runStep } = request;
  const { env = {}, cwd = layout.release(context.release), network = false } = place;
  const last: string[] = [];
  const code = await runStep(context.app, {
    argv,
    cwd,
    network,
    env: { ...interpreterEnvironment, ...env },
    timeoutMs,
    signal: context.signal,
    onLine: (line) => {
      last.push(line);
      if (last.length > evidenceLines) last.shift();
      context.onOutput(source, line);
    },
  });
  if (code !== 0) throw failed(source, code, last);
}

function failed(source: string, code: number, lines: string[]): CutoverError {
  const evidence = [{ source, text: lines.join("\n") }];
  if (lines.some((line) => line.includes("No space left on device"))) {
    return new CutoverError("disk_full", `The host's disk was full while ${source} ran.`, {
      unchanged,
      fix: "Free disk space on the host, then deploy again.",
      evidence,
    });
  }
  return new CutoverError("environment_failed", `${source} failed with exit code ${code}.`, {
    unchanged,
    fix:
      source === "pip"
        ? "Read pip's message. Wheels must fit the host's Python and platform, so vendor them on the same ones."
        : "Read the message. The host's Python needs its venv module (Debian: apt install python3-venv).",
    evidence,
  });
}
