import { type Process, processName } from "../../../shared/config.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { runId } from "../../../shared/names.ts";
import type { AppLayout } from "../store/layout.ts";

/** Seconds between the stop signal and the kill of a web instance. */
export const stopSeconds = 10;

/** How supervisor stops programs. */
export interface StopRule {
  signal: string;
  /** Until it kills them. */
  seconds: number;
  /** Whether the children of a program get the signal too. */
  asGroup: boolean;
}

/** Servers such as uWSGI leave workers behind unless all processes get the signal. */
const webStop: StopRule = { signal: "TERM", seconds: stopSeconds, asGroup: true };

/** Celery's children must not get the signal: its main process lets them finish their job. */
export function processStop({ stop_signal, stop_timeout }: Process): StopRule {
  return { signal: stop_signal, seconds: Math.ceil(milliseconds(stop_timeout) / 1000), asGroup: false };
}

export interface ProgramsInput {
  app: string;
  run: string;
  /** Absolute path of the node that runs the launcher. */
  node: string;
  launcher: string;
  /** The user that the programs run as; unset: supervisord's own. */
  user?: string | undefined;
  /** The process of cutover.yml that these programs are; unset for web instances. */
  process?: { name: string; stop: StopRule };
  instances: { name: string; launchFile: string; logFile: string }[];
}

/**
 * The group's name in supervisor, which allows no space, `:` and `/`. Run ids may have a dot. Neither run ids nor names of
 * processes have a `+`.
 */
export function groupName(app: string, run: string, process?: string): string {
  return `cutover-${app}-${run}${process === undefined ? "" : `+${process}`}`;
}

export function programsFileName(app: string, run: string, process?: string): string {
  return `${groupName(app, run, process)}.conf`;
}

/** Whose programs a file holds: a run's web instances, or one of its processes. */
export interface ProgramsOwner {
  run: string;
  process?: string;
}

/** undefined for a file of another app, and for one that is not ours. */
export function ownerOfProgramsFile(app: string, fileName: string): ProgramsOwner | undefined {
  const prefix = `cutover-${app}-`;
  if (!fileName.startsWith(prefix) || !fileName.endsWith(".conf")) return undefined;
  const [run = "", process, ...rest] = fileName.slice(prefix.length, -".conf".length).split("+");
  // App names are lower case, and run ids have a T and a Z. So a file of `shop-2` never matches `shop`.
  if (!runId.safeParse(run).success || rest.length > 0) return undefined;
  if (process === undefined) return { run };
  return processName.safeParse(process).success ? { run, process } : undefined;
}

export function runOfProgramsFile(app: string, fileName: string): string | undefined {
  return ownerOfProgramsFile(app, fileName)?.run;
}

/** The names of a process's programs: `worker-0`, `worker-1`, ... */
export function processPrograms(process: string, { instances }: Process): string[] {
  return Array.from({ length: instances }, (_, index) => `${process}-${index}`);
}

/** The process that a launch file belongs to; undefined for a web instance, and for other files. */
export function processOfLaunchFile(fileName: string): string | undefined {
  const process = /^(.+)-\d+\.json$/.exec(fileName)?.[1];
  return processName.safeParse(process).success ? process : undefined;
}

/** Seconds between the stop signal and the kill, as a programs file has them. */
export function stopSecondsOf(text: string): number {
  const seconds = /^stopwaitsecs=(\d+)$/m.exec(text)?.[1];
  return seconds === undefined ? stopSeconds : Number(seconds);
}

/**
 * The text of supervisor's file for a group of programs. It holds no value from a repository: each program is the launcher
 * with a launch file.
 * @throws RangeError for a path that supervisor's file cannot hold
 */
export function renderPrograms(input: ProgramsInput): string {
  const group = groupName(input.app, input.run, input.process?.name);
  const stop = input.process?.stop ?? webStop;
  // Sections of all files share one namespace, and a later file silently wins. So a section has the whole name.
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
    // A database may be late for days. supervisord waits longer after each try, and never gives up.
    "startretries=1000000000",
    `stopsignal=${stop.signal}`,
    `stopwaitsecs=${stop.seconds}`,
    `stopasgroup=${stop.asGroup}`,
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

/** `%` starts an expansion unless it is doubled. Quotes, comments and newlines have no escape that works everywhere. */
function path(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (/[\u0000-\u001f\u007f"'\\;#]/.test(text))
    throw new RangeError(`a supervisor file cannot hold this path: ${text}`);
  return text.replaceAll("%", "%%");
}

/** The launch file of an instance of a run. */
export function launchFilePath(layout: AppLayout, run: string, instance: string): string {
  return `${layout.launchDir(run)}/${instance}.json`;
}

/** The log file of an instance of a run. */
export function logFilePath(layout: AppLayout, run: string, instance: string): string {
  return `${layout.runLogs(run)}/${instance}.log`;
}
