import { readFile, realpath } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { childrenOf, commandLine, processRuns, readPidFile } from "../exec/processes.ts";

/** Where the master of one configuration is found. */
export interface MasterPlace {
  pidFile: string;
  /** The main configuration file; undefined if it is not known. */
  conf: string | undefined;
  /** The main configuration file of a master whose command line names none; undefined if it is not known. */
  defaultConf: string | undefined;
}

/**
 * The process id of the master. A pid file may be stale, and its number may belong to any other program by now, or to the
 * master of another nginx: a SIGHUP would end the one and reload the other.
 */
export async function masterAt({ pidFile, conf, defaultConf }: MasterPlace): Promise<number | undefined> {
  const pid = await readPidFile(pidFile);
  if (pid === undefined || !(await processRuns(pid))) return undefined;
  const title = await commandLine(pid);
  if (!title.startsWith("nginx: master process")) return undefined;
  const named = / -c ?(\S+)/.exec(title)?.[1] ?? defaultConf;
  if (named === undefined || conf === undefined || !isAbsolute(named)) return pid;
  return (await resolved(named)) === (await resolved(conf)) ? pid : undefined;
}

/**
 * During an upgrade of nginx's binary (USR2) the master of the old binary, whose workers still serve. nginx has renamed its
 * pid file.
 */
export function oldMasterAt(place: MasterPlace): Promise<number | undefined> {
  return masterAt({ ...place, pidFile: `${place.pidFile}.oldbin` });
}

/** The worker processes of these masters: all, or only those that still accept connections. */
export async function workersOf(masters: number[], serving: boolean): Promise<number[]> {
  const pids = (await Promise.all(masters.map(childrenOf))).flat();
  const titles = await Promise.all(pids.map(commandLine));
  return pids.filter((_, index) => {
    const title = titles[index] ?? "";
    return title.startsWith("nginx: worker process") && !(serving && title.endsWith("is shutting down"));
  });
}

/** SIGHUP in a mask of signals, which /proc shows in hexadecimal. */
const hangUp = 1n;

/**
 * Whether a master has handled every SIGHUP that it got, and waits for the next signal. It blocks all signals while it works,
 * and unblocks them only to wait. So a reload that begins after such a moment reads files as they were at that moment or later.
 */
export async function waitsForSignals(master: number): Promise<boolean> {
  const status = await readFile(`/proc/${master}/status`, "utf8").catch(() => "");
  const masks = [...status.matchAll(/^(?:SigPnd|ShdPnd|SigBlk):\t([0-9a-f]+)$/gm)];
  const sleeps = /^State:\tS/m.test(status);
  return sleeps && masks.length === 3 && masks.every(([, mask]) => (BigInt(`0x${mask}`) & hangUp) === 0n);
}

async function resolved(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
