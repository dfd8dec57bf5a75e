import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppState } from "../../agent/deploy/state.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { snapshotHost } from "../e2e/host-snapshot.ts";
import { type Strike, succeeded, type TortureHost } from "./host.ts";
import { leftovers } from "./leftovers.ts";
import type { Operation } from "./operations.ts";
import { Prober, releaseOf, type Seen } from "./prober.ts";

export interface Result {
  operation: string;
  strike: Strike | undefined;
  /** Of a kill at any time: how long after the operation's begin, in milliseconds. */
  afterMs: number | undefined;
  /** Whether the operation reached the effect. */
  struck: boolean;
  /** What was wrong afterwards; empty if nothing was. */
  faults: string[];
  /** From the start of the agent, or from the end of the operation if it was not killed, until nothing was left to do. In milliseconds. */
  recoveryMs: number;
  requests: number;
  /** state.json as a killed agent left it. */
  journal: AppState | undefined;
}

/** The text with which a fault begins after which the host cannot be used for another point. */
export const couldNotGoOn = "the test could not go on: ";
const later = "after the next deploy and rollback: ";
/** How long to wait for an agent to finish or undo by itself. More than `recoveryLimitMs` is a fault nevertheless. */
const patienceMs = 30_000;
const recoveryLimitMs = 5000;
/** No operation takes this long, even if it fails and the machine is busy. */
const longestMs = 180_000;

/** The load of each processor over the last minute. */
function load(): string {
  return ((loadavg()[0] ?? 0) / availableParallelism()).toFixed(1);
}

/** On a busy machine everything takes longer, in proportion to the load of a processor. */
function allowedMs({ waitsMs = 0 }: Operation): number {
  return (recoveryLimitMs + waitsMs) * Math.max(1, Number(load()));
}

/**
 * Does the operation, strikes one of its effects, and checks everything that must be true afterwards.
 * @param how `reboot`: with the agent, everything else of the host is killed too, and comes back first without the agent;
 * `brief`: not what another start, the next deploy and a rollback do, which the same kill without a reboot tells
 */
export async function strikeIn(
  host: TortureHost,
  operation: Operation,
  strike: Strike,
  { reboot = false, brief = false } = {},
): Promise<Result> {
  return around({ host, operation, strike, brief }, async ({ prober, faults, before }) => {
    host.arm(strike);
    await ends(host, operation);
    // The fault may have struck at an effect that failed by itself, such as the removal of what does not exist.
    const struck = host.disarm() && (!strike.fault.startsWith("kill") || (await endsSoon(host)));
    if (reboot && struck && strike.fault.startsWith("kill")) {
      await prober.stop();
      await host.reboot();
      const may = [...before, ...(await releasesOf(host).catch(() => []))];
      const serves = await host.serves(operation.visitorsMaySee === undefined ? patienceMs : 1000);
      if (!may.includes(serves) && operation.visitorsMaySee?.test(serves) !== true) {
        faults.push(`after the reboot, without the agent: ${serves}`);
      }
      prober.start();
    }
    return struck;
  });
}

/** A killed agent ends at once, but its process may be seen for a little longer. */
async function endsSoon(host: TortureHost): Promise<boolean> {
  return Promise.race([host.agent.ended.then(() => true), sleep(5000).then(() => false)]);
}

/** Does the operation and kills the agent some time after its begin. */
export async function killDuring(host: TortureHost, operation: Operation, afterMs: number): Promise<Result> {
  return around({ host, operation, afterMs }, async () => {
    const running = operation.run(host).catch(() => undefined);
    await Promise.race([running, sleep(afterMs)]);
    await host.agent.kill();
    await running;
    return true;
  });
}

/** Does the operation until it ends, well or not, or until the agent is killed in it. */
export async function ends(host: TortureHost, operation: Operation): Promise<void> {
  const running = operation.run(host).catch(() => undefined);
  const before = operation.starts === true ? new Promise<never>(() => {}) : host.agent.ended;
  const late = sleep(longestMs, "late", { ref: false });
  if ((await Promise.race([running, before, late])) === "late") {
    throw new Error(`the operation did not end within ${longestMs} ms`);
  }
  // Its calls break off when the agent is killed.
  await Promise.race([running, sleep(1000)]);
}

/** @throws Error if it takes longer than anything does */
async function inTime<T>(work: Promise<T> | undefined, what: string): Promise<void> {
  const late = sleep(longestMs, "late", { ref: false });
  if ((await Promise.race([work, late])) === "late") throw new Error(`${what} did not end within ${longestMs} ms`);
}

interface Around {
  host: TortureHost;
  operation: Operation;
  strike?: Strike;
  afterMs?: number;
  brief?: boolean;
}

async function around(
  { host, operation, strike, afterMs, brief = false }: Around,
  act: (around: { prober: Prober; faults: string[]; before: string[] }) => Promise<boolean>,
): Promise<Result> {
  const faults: string[] = [];
  const known = new Set<string>();
  const prober = new Prober(host.site);
  let seen: Seen = { requests: 0, releases: new Set(), failures: [] };
  let struck = false;
  let journal: AppState | undefined;
  let recoveryMs = 0;
  try {
    // What an earlier point left is not this point's fault.
    for (const left of await leftovers(host)) known.add(left);
    const earlier = await releasesOf(host);
    await inTime(operation.prepare?.(host), "what the operation needs before");
    const before = await releasesOf(host).catch(() => earlier);
    const since = new Date();
    prober.start();
    struck = await act({ prober, faults, before });
    const state = await host.state().catch(() => undefined);
    const { began, restarted } = await startedAgain(host);
    if (restarted) journal = state;
    await operation.finish?.(host);
    if (!(await host.settles(patienceMs))) faults.push(`not settled: ${await unsettled(host)}`);
    recoveryMs = performance.now() - began;
    if (recoveryMs > allowedMs(operation))
      faults.push(`it took ${Math.round(recoveryMs)} ms to recover, at a load of ${load()}`);
    if (!(await host.stepsEnd(patienceMs))) faults.push("a step of the build goes on and on");
    seen = await prober.stop();
    const after = await releasesOf(host);
    const shown = await shownByLostReload(host, strike, since);
    const visible = new Set([...before, ...after, ...shown, ...triedIn(journal), ...(await cameLive(host, since))]);
    const bad = seen.failures.filter((failure) => operation.visitorsMaySee?.test(failure) !== true);
    if (bad.length > 0) faults.push(`${bad.length} of ${seen.requests} requests failed: ${bad[0]}`);
    for (const release of seen.releases) if (!visible.has(release)) faults.push(`visitors saw ${release}`);
    const pruned = operation.prunesLater === undefined;
    faults.push(...(await atRest(host, { pruned })).filter((left) => !known.has(left)));
    if (!brief) faults.push(...(await unchangedByAnotherStart(host)));
    if (!brief) faults.push(...(await goesOn(host)).filter((left) => !known.has(left.replace(later, ""))));
    if (operation.leavesUnwell !== undefined) await host.deploy();
  } catch (error) {
    faults.push(`${couldNotGoOn}${(error as Error).message}`);
  } finally {
    await prober.stop();
    host.disarm();
  }
  return { operation: operation.name, strike, afterMs, struck, faults, recoveryMs, requests: seen.requests, journal };
}

/** The releases that visitors may get: the live one, and a canary. */
async function releasesOf(host: TortureHost): Promise<string[]> {
  const { live, staged, journal } = await host.state();
  return [live, staged?.run, journal?.run].filter((run) => typeof run === "string").map(releaseOfRun);
}

/**
 * A kill in the middle of a cutover, which nginx may have read. If the release is not well any more when the agent is back, the
 * cutover is undone, and visitors have seen what was tried.
 */
function triedIn(journal: AppState | undefined): string[] {
  const { run, deployment } = journal?.journal ?? {};
  return run !== undefined && deployment?.state === "cutting_over" ? [releaseOfRun(run)] : [];
}

/** Releases that got traffic for the first time since then, even if it was reverted. */
async function cameLive(host: TortureHost, since: Date): Promise<string[]> {
  const { releases } = await host.state();
  return releases.filter(({ live_at }) => live_at !== undefined && live_at >= since.toISOString()).map(({ id }) => id);
}

/** If only the answer of a reload is lost, nginx has read the new release's site before it is undone. So visitors may see it. */
async function shownByLostReload(host: TortureHost, strike: Strike | undefined, since: Date): Promise<string[]> {
  if (strike?.effect !== "nginx.reload" || strike.fault !== "lose") return [];
  const { history } = await host.state();
  const failed = history.filter(({ outcome, started }) => outcome === "failed" && started >= since.toISOString());
  return failed.flatMap(({ release }) => release ?? []);
}

async function startedAgain(host: TortureHost): Promise<{ began: number; restarted: boolean }> {
  const alive = await Promise.race([host.agent.ended.then(() => false), sleep(50).then(() => true)]);
  const began = performance.now();
  if (!alive) await host.agent.start();
  return { began, restarted: !alive };
}

async function unsettled(host: TortureHost): Promise<string> {
  const { journal, held, warm } = await host.state();
  return JSON.stringify({ at: journal?.deployment.state, attempts: journal?.attempts, held, warm });
}

/**
 * How long a look at the host is repeated if it finds something: the agent may be writing a file, or removing a release, while
 * the test looks. What is left over is there in the last look too.
 */
const lookAgainMs = 5000;

async function atRest(host: TortureHost, { pruned = true } = {}): Promise<string[]> {
  const deadline = performance.now() + lookAgainMs;
  let left = await leftAtRest(host, pruned);
  while (left.length > 0 && performance.now() < deadline) {
    await sleep(200);
    left = await leftAtRest(host, pruned);
  }
  return left;
}

async function leftAtRest(host: TortureHost, pruned: boolean): Promise<string[]> {
  const left = await leftovers(host, { pruned });
  const { live, staged } = await host.state();
  const serves = await releaseOf(host.site).catch((error: Error) => error.message);
  const may = [live, staged !== null && staged.weight > 0 ? staged.run : null].flatMap((run) => run ?? []);
  return may.map(releaseOfRun).includes(serves) ? left : [...left, `${live} is live and ${serves} answers`];
}

/** An agent that starts and has nothing left to do must do nothing. */
async function unchangedByAnotherStart(host: TortureHost): Promise<string[]> {
  // With a canary it is chance which release answers.
  const look = async () => ({ ...(await snapshotHost(host.agent, host.site)), visitorsSee: "" });
  // The agent may be writing something at the first look.
  const deadline = performance.now() + lookAgainMs;
  let before = await look();
  for (let last = ""; JSON.stringify(before) !== last && performance.now() < deadline; ) {
    last = JSON.stringify(before);
    await sleep(100);
    before = await look();
  }
  await host.agent.kill();
  await host.agent.start();
  const after = await look();
  if (JSON.stringify(after) === JSON.stringify(before)) return [];
  return [`another start changes: ${JSON.stringify(differences(before, after)).slice(0, 600)}`];
}

function differences(before: object, after: object): unknown[] {
  return Object.entries(after).flatMap(([name, value]) => {
    const was = (before as Record<string, unknown>)[name];
    if (JSON.stringify(was) === JSON.stringify(value)) return [];
    if (Array.isArray(value) && Array.isArray(was)) {
      return [
        { name, gone: was.filter((each) => !value.includes(each)), came: value.filter((each) => !was.includes(each)) },
      ];
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [{ name, was, is: value }];
    return differences(was as object, value).concat(Object.keys(was as object).filter((key) => !(key in value)));
  });
}

/** The next deploy must work, and a rollback too, which also prepares the host for the next point. */
async function goesOn(host: TortureHost): Promise<string[]> {
  const { release } = await host.deploy();
  const seen = await releaseOf(host.site);
  const faults = seen === release ? [] : [`${release} was deployed and ${seen} answers`];
  const back = succeeded(await host.rollback());
  const now = await releaseOf(host.site);
  if (now !== back.release) faults.push(`rolled back to ${back.release} and ${now} answers`);
  return [...faults, ...(await atRest(host)).map((left) => `${later}${left}`)];
}
