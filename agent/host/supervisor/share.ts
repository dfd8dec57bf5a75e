import { readdirSync, readFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { type Marks, processesOf } from "./leftovers.ts";

/**
 * A booting instance has a higher nice value than those that serve, and loses it when it is healthy. It is the nice value and
 * not a control group: all instances are children of one supervisord, so the kernel weighs them against each other by it, with
 * control groups or without, and also where it puts sessions into groups of their own (sched_autogroup). A group below that of
 * supervisor.service would be a change to somebody else's unit. The kernel derives the priority on the disk from the nice value.
 */
const quietNice = 10;
const mostNice = 19;

/** For so long after its launch file was written, a start is that of a new run, in milliseconds. Later it is a restart, which gets the full share. */
export const quietMs = 30_000;

/** Lowers the share of this process, which then becomes the program. A start does not fail if it cannot. */
export function lowerOwnShare(): void {
  try {
    setPriority(Math.min(mostNice, getPriority() + quietNice));
  } catch {
    // It boots at the full share.
  }
}

/** CAP_SYS_NICE. */
const mayLowerNice = 1n << 23n;

/**
 * Whether this process can give back what a lower share takes. A container's root often cannot, nor can an ordinary user, and
 * then instances boot at the full share: one that would stay below it for ever is worse than a loud boot.
 */
export function canGiveShareBack(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText("/proc/self/status"))?.[1];
  return effective !== undefined && (BigInt(`0x${effective}`) & mayLowerNice) !== 0n;
}

interface SharedProgram {
  /** The process that supervisord has started, as it said. */
  pid: number;
  /** supervisord's own process id. */
  supervisord: number;
  /** The user that it runs as: processes of others are left alone. */
  uid: number;
  marks: Marks;
}

/** A worker that is forked during a pass has its parent's nice value, so the next pass finds it. */
const passes = 5;

/**
 * Gives a program, its threads and all that it has started the share of its supervisord. Processes that the program itself has
 * made nicer stay that much nicer. Its main process comes last: until that has the full share, `hasLowShare` says so.
 * A process id that was reused in the meantime counts only if it is a program of the same supervisord and the same user, which
 * then loses nothing.
 * @throws the system's error
 */
export function giveShareBack({ pid, supervisord, uid, marks }: SharedProgram): void {
  const base = baseOf(pid, supervisord);
  if (base === undefined) return;
  for (let pass = 0; pass < passes; pass++) {
    const others = [...new Set([...descendantsOf(pid), ...processesOf(marks)])].filter((other) => other !== pid);
    const changed = others.filter((other) => raise(other, uid, base));
    if (changed.length === 0) break;
  }
  raise(pid, uid, base);
}

/** Whether the program that supervisord has started with this process id has less than the full share. */
export function hasLowShare(pid: number, supervisord: number): boolean {
  const base = baseOf(pid, supervisord);
  return base !== undefined && isQuiet(pid, base);
}

/** The nice value of supervisord, which a program has without us; undefined if the process is no program of it any more. */
function baseOf(pid: number, supervisord: number): number | undefined {
  return statusOf(pid)?.parent === supervisord ? niceOf(supervisord) : undefined;
}

function isQuiet(id: number, base: number): boolean {
  const nice = niceOf(id);
  return nice !== undefined && nice >= Math.min(mostNice, base + quietNice);
}

/** Each thread has a nice value of its own. The main one, by which a process is known, comes last. */
function raise(pid: number, uid: number, base: number): boolean {
  const threads = threadsOf(pid).toSorted((one, other) => Number(one === pid) - Number(other === pid));
  const quiet = threads.filter((thread) => isQuiet(thread, base));
  if (quiet.length === 0 || statusOf(pid)?.uid !== uid) return false;
  for (const thread of quiet) raiseThread(thread, base);
  return true;
}

function raiseThread(thread: number, base: number): void {
  try {
    setPriority(thread, Math.max(base, getPriority(thread) - quietNice));
  } catch (thrown) {
    if (!isGone(thrown)) throw thrown;
  }
}

function niceOf(id: number): number | undefined {
  try {
    return getPriority(id);
  } catch (thrown) {
    if (isGone(thrown)) return undefined;
    throw thrown;
  }
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof Error && "info" in thrown && (thrown.info as { code?: string }).code === "ESRCH";
}

function descendantsOf(pid: number): number[] {
  const found = childrenOf(pid);
  // The list grows while it is walked.
  for (const child of found) found.push(...childrenOf(child));
  return found;
}

/** Also the children of its other threads. */
function childrenOf(pid: number): number[] {
  const lists = threadsOf(pid).map((thread) => readText(`/proc/${pid}/task/${thread}/children`));
  return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

function statusOf(pid: number): { parent: number; uid: number } | undefined {
  const text = readText(`/proc/${pid}/status`);
  const [, parent] = /^PPid:\s*(\d+)$/m.exec(text) ?? [];
  // One that has become another user, or may become one again, is nobody's.
  const [, uid = "-1"] = /^Uid:\s*(\d+)\s+\1\s+\1\s+\1$/m.exec(text) ?? [];
  return parent === undefined ? undefined : { parent: Number(parent), uid: Number(uid) };
}

/** Empty for a process that has ended. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
