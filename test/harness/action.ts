import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { parse } from "yaml";
import { type Annotation, annotationsOf, parseFileCommands } from "./action-output.ts";
import { actionFile, node, systemPath } from "./places.ts";
import { processId } from "./processes.ts";
import { endOf } from "./run.ts";
import { Scratch } from "./scratch.ts";

export interface ActionRun {
  /** `with:` of the step; what is absent gets its default from action.yml. */
  inputs: Record<string, string>;
  /** The workspace: where the project was checked out. */
  cwd: string;
  /** More of the step's environment. RUNNER_TEMP, which holds the bundle, is gone after the run unless given here. */
  env?: Record<string, string>;
  /** Each line of its log as it comes. */
  onLine?: (line: string) => void;
  /** Words before its command line, such as those that enter another network. */
  through?: string[];
}

export interface ActionResult {
  exitCode: number;
  /** The step's log: both streams, in the order they came. */
  stdout: string;
  outputs: Record<string, string>;
  /** The job summary, in Markdown. */
  summary: string;
  annotations: Annotation[];
  /** What was masked with `::add-mask::`. */
  masked: string[];
}

export interface RunningAction {
  result: Promise<ActionResult>;
  pid: number | undefined;
  signal(signal: NodeJS.Signals): void;
  /** As the runner cancels a job: SIGINT, SIGTERM after 7.5 s, SIGKILL after 2.5 s more. */
  cancel(): Promise<ActionResult>;
}

interface ActionYaml {
  inputs: Record<string, { default?: string; required?: boolean }>;
  runs: { using: string; main: string };
}

/** Runs the built Action to its end, as GitHub's runner does: clean environment, `INPUT_*`, files for what it says. */
export function runAction(run: ActionRun): Promise<ActionResult> {
  return startAction(run).result;
}

export function startAction({ inputs, cwd, env = {}, onLine, through = [] }: ActionRun): RunningAction {
  const { runs, inputs: declared } = parse(readFileSync(actionFile, "utf8")) as ActionYaml;
  if (runs.using !== "node24" || Number(process.versions.node.split(".")[0]) !== 24) {
    throw new Error(`action.yml wants ${runs.using}, and this is Node ${process.versions.node}`);
  }
  const scratch = new Scratch("runner");
  const files = prepareFiles(scratch.path);
  const [program = node, ...words] = [...through, node, join(dirname(actionFile), runs.main)];
  const child = spawn(program, words, {
    cwd,
    env: { ...runnerEnvironment(scratch.path, cwd), ...files, ...inputEnvironment(declared, inputs), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (child.pid !== undefined) scratch.adopt(processId(child.pid));
  return {
    result: finish(child, scratch, files, onLine),
    pid: child.pid,
    signal: (signal) => void child.kill(signal),
    async cancel() {
      child.kill("SIGINT");
      const term = setTimeout(() => child.kill("SIGTERM"), 7500);
      const kill = setTimeout(() => child.kill("SIGKILL"), 10_000);
      try {
        return await this.result;
      } finally {
        clearTimeout(term);
        clearTimeout(kill);
      }
    },
  };
}

type Files = ReturnType<typeof prepareFiles>;

/** They must exist before the Action starts, and the runner makes them empty. */
function prepareFiles(directory: string) {
  const files = {
    GITHUB_OUTPUT: join(directory, "output"),
    GITHUB_STATE: join(directory, "state"),
    GITHUB_ENV: join(directory, "env"),
    GITHUB_PATH: join(directory, "path"),
    GITHUB_STEP_SUMMARY: join(directory, "summary.md"),
    GITHUB_EVENT_PATH: join(directory, "event.json"),
  };
  for (const [name, file] of Object.entries(files)) writeFileSync(file, name === "GITHUB_EVENT_PATH" ? "{}" : "");
  for (const name of ["temp", "tools", "home"]) mkdirSync(join(directory, name));
  return files;
}

function runnerEnvironment(directory: string, workspace: string): Record<string, string> {
  return {
    PATH: systemPath,
    HOME: join(directory, "home"),
    LANG: "C.UTF-8",
    CI: "true",
    RUNNER_OS: "Linux",
    RUNNER_ARCH: process.arch === "arm64" ? "ARM64" : "X64",
    RUNNER_NAME: "test",
    RUNNER_TEMP: join(directory, "temp"),
    RUNNER_TOOL_CACHE: join(directory, "tools"),
    GITHUB_ACTIONS: "true",
    GITHUB_ACTION: "cutover",
    GITHUB_WORKFLOW: "deploy",
    GITHUB_WORKFLOW_REF: "octocat/shop/.github/workflows/deploy.yml@refs/heads/main",
    GITHUB_JOB: "deploy",
    GITHUB_EVENT_NAME: "push",
    GITHUB_ACTOR: "octocat",
    GITHUB_REF: "refs/heads/main",
    GITHUB_REF_NAME: "main",
    GITHUB_REPOSITORY: "octocat/shop",
    GITHUB_REPOSITORY_OWNER: "octocat",
    GITHUB_RUN_ATTEMPT: "1",
    GITHUB_RUN_ID: "4711",
    GITHUB_RUN_NUMBER: "42",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_API_URL: "https://api.github.com",
    GITHUB_SHA: "3f2c1ab0c5d94d8a9a5be5d6b7f8e9a0b1c2d3e4",
    GITHUB_WORKSPACE: workspace,
  };
}

/** @throws Error for an input that action.yml does not declare, of which the runner would only warn */
export function inputEnvironment(
  declared: ActionYaml["inputs"],
  given: Record<string, string>,
): Record<string, string> {
  const unknown = Object.keys(given).filter((name) => !(name in declared));
  if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(", ")}`);
  return Object.fromEntries(
    Object.entries(declared).map(([name, { default: fallback = "" }]) => [
      `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`,
      given[name] ?? String(fallback),
    ]),
  );
}

async function finish(
  child: ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream },
  scratch: Scratch,
  files: Files,
  onLine: ((line: string) => void) | undefined,
): Promise<ActionResult> {
  const log: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      log.push(line);
      onLine?.(line);
    });
  }
  try {
    const exitCode = await endOf(child);
    return {
      exitCode,
      stdout: log.map((line) => `${line}\n`).join(""),
      outputs: parseFileCommands(readFileSync(files.GITHUB_OUTPUT, "utf8")),
      summary: readFileSync(files.GITHUB_STEP_SUMMARY, "utf8"),
      ...annotationsOf(log),
    };
  } finally {
    await scratch[Symbol.asyncDispose]();
  }
}
