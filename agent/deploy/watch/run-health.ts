import { type Config, siteOf, statusExpected } from "../../../shared/config.ts";
import { CutoverError, type ErrorCode, type Evidence } from "../../../shared/errors.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { ProgramStatus, RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";
import type { AppSettings } from "../../settings.ts";
import { causeIn, readLog, sentence, wordsOf } from "../steps/exit-words.ts";
import { probeInstance } from "./probe-instance.ts";

/** What can be wrong with a run that serves: a canary, or the run that has just become live. */

/** Why a run that serves is given up. `text` is a clause; it begins with the program's name if it is about one. */
export interface RunFault {
  text: string;
  /** If it is not that of failed checks. */
  code?: ErrorCode;
  /** If its log does not say more. */
  fix?: string;
  /** Whether the log of some instance says why: which one answered is not known. */
  inLogs?: true;
  evidence?: Evidence[];
}

/** One failed check may be a moment's load; so many in a row are a fault. */
export const failuresInARow = 3;
export const checkEveryMs = 2000;
const checkMs = 5000;
const logLines = 60;

/** What is wrong with a run, or undefined. */
export async function faultOf(
  ports: Ports,
  settings: AppSettings,
  spec: RunSpec,
  pids: Map<string, number>,
): Promise<string | undefined> {
  return (await programFault(ports, spec, pids)) ?? (await healthFault(ports, settings, spec));
}

/**
 * What is wrong with a run by what supervisor says. A restart counts, since it has cut requests.
 * @param pids the first pid seen of each program, filled here
 */
export async function programFault(
  ports: Ports,
  { app, run }: RunSpec,
  pids: Map<string, number>,
): Promise<string | undefined> {
  const programs = await ports.privileged.programs(app, run);
  if (programs === undefined) return "supervisor does not know its instances";
  for (const { name, state, pid } of programs) {
    // STARTING is fine: a fast program answers its health check before supervisor's first second is over.
    if (state !== "RUNNING" && state !== "STARTING") return `${name} is ${state}`;
    if (pid === 0) continue;
    const first = pids.get(name) ?? pid;
    pids.set(name, first);
    if (first !== pid) return `${name} was restarted`;
  }
  return undefined;
}

/** Whether a run can have visitors: one that is being stopped answers until its stop is over, and then it is gone. */
export function isUp(programs: ProgramStatus[] | undefined): boolean {
  return programs?.every(({ state }) => state !== "STOPPING") === true;
}

/** Of a run that was not started, or is removed already. */
export const noPorts = "its instances have no ports";

/** How often supervisor may have to start a process again while its run is watched. Once may be a fault of the moment. */
const processRestarts = 1;

/** What a watch has seen of one program of a process. */
interface Seen {
  pid: number;
  restarts: number;
}

/**
 * What is wrong with the processes of a run by what supervisor says: one cannot start, or ends again and again.
 * @param seen by program, filled here
 */
export async function processFault(
  ports: Ports,
  { app, run, config }: RunSpec,
  seen: Map<string, Seen>,
): Promise<string | undefined> {
  if (Object.keys(config.processes).length === 0) return undefined;
  const groups = await ports.privileged.processes(app);
  for (const { name, state, pid } of groups.filter((group) => group.run === run).flatMap(({ programs }) => programs)) {
    if (state === "BACKOFF" || state === "FATAL") return `${name} is ${state}`;
    if (pid === 0) continue;
    const before = seen.get(name) ?? { pid, restarts: 0 };
    const restarts = before.restarts + (before.pid === pid ? 0 : 1);
    seen.set(name, { pid, restarts });
    if (restarts > processRestarts) return `${name} exited and was restarted ${restarts} times`;
  }
  return undefined;
}

/**
 * The reason of a run that failed after it had been well.
 * @param code if the fault has none of its own
 */
export async function failureReason(
  ports: Ports,
  spec: RunSpec,
  { code, said, fault, unchanged }: { code: ErrorCode; said: string; fault: RunFault; unchanged: string },
): Promise<CutoverError> {
  const logs = await lastLogLines(ports, spec);
  const own = logs.filter(({ source }) => fault.inLogs === true || fault.text.startsWith(`${source} `));
  // What a program said last counts only if it has ended.
  const cause = causeIn(spec.app, own, /exited|restarted|BACKOFF|FATAL|EXITED/.test(fault.text));
  const message = sentence(`${said}: ${fault.text}${cause === undefined ? "" : `: ${cause.line}`}`);
  const evidence = [...(await maskedEvidence(ports, spec.app, fault.evidence ?? [])), ...logs];
  return new CutoverError(fault.code ?? code, message, {
    ...{ unchanged, evidence },
    ...wordsOf({ fix: cause?.fix ?? fault.fix ?? (busy.test(fault.text) ? lessBusy : readLog), frame: cause?.frame }),
  });
}

const busy = /nothing accepted the connection within/;
const lessBusy =
  "All its workers are busy, or it has stopped: find the requests that take long (`cutover top` shows the times), or give it more `server.workers` or `server.threads` in cutover.yml.";

/** What is wrong with a run by what its instances answer in time. */
export async function healthFault(
  ports: Ports,
  settings: AppSettings,
  spec: RunSpec,
  timeoutMs = checkMs,
): Promise<string | undefined> {
  const { path, expect } = spec.config.health;
  const request = { path, host: healthHost(spec.config, settings), timeoutMs };
  const instances = await ports.privileged.instances(spec);
  if (instances.length === 0) return noPorts;
  // All at once: the times of those that hang must not add up.
  const faults = instances.map(async (instance) => {
    const answer = await probeInstance(ports, spec, instance, request);
    if (answer.kind === "unreachable") return `${instance.name} did not answer GET ${path}: ${answer.reason}`;
    if (!statusExpected(expect, answer.status)) return `${instance.name} answered ${answer.status} to GET ${path}`;
    return undefined;
  });
  try {
    return (await Promise.all(faults)).find((fault) => fault !== undefined);
  } catch (thrown) {
    if (thrown instanceof CutoverError && thrown.code === "port_taken") return thrown.message;
    throw thrown;
  }
}

/** The last lines of a run's logs, for the reason of a failure. */
export async function lastLogLines(ports: Ports, { app, run }: RunSpec): Promise<Evidence[]> {
  const tails = await ports.logs.tail(app, run, logLines).catch(() => []);
  return maskedEvidence(
    ports,
    app,
    tails.filter(({ text }) => text.trim() !== ""),
  );
}

/** What an app has printed leaves the host without its secrets, or not at all. */
export async function maskedEvidence(ports: Ports, app: string, evidence: Evidence[]): Promise<Evidence[]> {
  const texts = evidence.map(({ text }) => text);
  const masked = await ports.privileged.maskSecrets(app, texts).catch(() => undefined);
  return evidence.map(({ source }, index) => ({
    source,
    text: masked?.[index] ?? "(left out: the app's secrets cannot be read, so they cannot be taken out of it)",
  }));
}

/** The name by which the app is asked for its health: what a visitor would ask for. */
export function healthHost(config: Config, settings: AppSettings): string {
  const names = [...(siteOf(config).server_name ?? []), ...settings.domains];
  const whole = names.find((name) => name !== "_" && !name.startsWith("*") && !name.endsWith("*"));
  return config.health.host ?? whole ?? nameBelow(names) ?? "localhost";
}

/** A name that a wildcard admits: `*.example.com` alone says that example.com itself is somebody else's. */
function nameBelow(names: string[]): string | undefined {
  const wildcard = names.find((name) => name.startsWith("*."));
  return wildcard === undefined ? undefined : `health${wildcard.slice(1)}`;
}

/** What cannot be asked just now says nothing of a release. An error that nobody expects is in the log. */
export async function answerOf<T>(question: () => Promise<T>, log: Logger): Promise<T | undefined> {
  try {
    return await question();
  } catch (err) {
    if (!isUnreachable(err)) log.warn({ err }, "a question about a run was not answered");
    return undefined;
  }
}

function isUnreachable(thrown: unknown): boolean {
  return thrown instanceof CutoverError && ["supervisor_unreachable", "helper_unreachable"].includes(thrown.code);
}
