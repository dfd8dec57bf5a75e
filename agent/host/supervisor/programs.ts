import { runId } from "../../../shared/names.ts";
import type { AppLayout } from "../layout.ts";

/** Seconds between the stop signal and the kill. */
export const stopSeconds = 10;

export interface ProgramsInput {
  app: string;
  run: string;
  /** Absolute path of the node that runs the launcher. */
  node: string;
  launcher: string;
  /** The user that the programs run as; without it they run as supervisord does. */
  user?: string | undefined;
  instances: { name: string; launchFile: string; logFile: string }[];
}

/** The group's name in supervisor. Run ids may have a dot, which supervisor allows in names (not space, `:` and `/`). */
export function groupName(app: string, run: string): string {
  return `cutover-${app}-${run}`;
}

export function programsFileName(app: string, run: string): string {
  return `${groupName(app, run)}.conf`;
}

/** The run whose programs a file of this name holds; undefined for another app's file and for files that are not ours. */
export function runOfProgramsFile(app: string, fileName: string): string | undefined {
  const prefix = `cutover-${app}-`;
  if (!fileName.startsWith(prefix) || !fileName.endsWith(".conf")) return undefined;
  const run = fileName.slice(prefix.length, -".conf".length);
  // App names are lower case and run ids have a T and a Z, so `shop` never takes a file of `shop-2`.
  return runId.safeParse(run).success ? run : undefined;
}

/**
 * The text of a run's supervisor file. It holds no value from a repository: a program is the launcher and a launch file.
 * @throws RangeError for a path that supervisor's file cannot hold
 */
export function renderPrograms(input: ProgramsInput): string {
  const group = groupName(input.app, input.run);
  // Sections of all files share one namespace and a later file wins in silence, so a section carries the whole name.
  const section = (name: string) => `${group}-${name}`;
  const head = [
    "; Written by cutover. Changes are lost.",
    `[group:${group}]`,
    `programs=${input.instances.map(({ name }) => section(name)).join(",")}`,
  ];
  const programs = input.instances.map(({ name, launchFile, logFile }) => [
    "",
    `[program:${section(name)}]`,
    `process_name=${name}`,
    `command=${[input.node, input.launcher, launchFile].map(word).join(" ")}`,
    ...(input.user === undefined ? [] : [`user=${input.user}`]),
    "autostart=true",
    "autorestart=true",
    "startsecs=1",
    "stopsignal=TERM",
    `stopwaitsecs=${stopSeconds}`,
    "stopasgroup=true",
    "killasgroup=true",
    "redirect_stderr=true",
    `stdout_logfile=${path(logFile)}`,
    "stdout_logfile_maxbytes=10MB",
    "stdout_logfile_backups=3",
  ]);
  return `${[...head, ...programs.flat()].join("\n")}\n`;
}

/** One word of a command line, which supervisor splits as a shell would. */
function word(text: string): string {
  const checked = path(text);
  return /^[A-Za-z0-9%/._+@:,=-]+$/.test(checked) ? checked : `"${checked}"`;
}

/** `%` starts an expansion unless doubled; quotes, comments and newlines have no escape that works everywhere. */
function path(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (/[\u0000-\u001f\u007f"'\\;#]/.test(text))
    throw new RangeError(`a supervisor file cannot hold this path: ${text}`);
  return text.replaceAll("%", "%%");
}

/** Where a run's launch file of an instance lies. */
export function launchFilePath(layout: AppLayout, run: string, instance: string): string {
  return `${layout.runDir(run)}/${instance}.json`;
}

/** Where the output of an instance goes. */
export function logFilePath(layout: AppLayout, run: string, instance: string): string {
  return `${layout.runLogs(run)}/${instance}.log`;
}
