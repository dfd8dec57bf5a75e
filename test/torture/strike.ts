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
  /** Whether the effect came by. */
  struck: boolean;
  /** What was not as it must be; empty when all was well. */
  faults: string[];
  /** From the agent's start, or the operation's end where it was not killed, until nothing was left to do. */
  recoveryMs: number;
  requests: number;
  /** state.json as a killed agent left it. */
  journal: AppState | undefined;
}

/** How the fault of a point begins that has left its host in no state for another. */
export const couldNotGoOn = "the test could not go on: ";
const later = "after the next deploy and rollback: ";
/** How long is waited for an agent to finish or undo by itself; what takes longer than `recoveryLimitMs` is a fault all the same. */
const patienceMs = 30_000;
const recoveryLimitMs = 5000;
/** No operation takes as long, also where it fails and on a busy machine. */
const longestMs = 180_000;

/** How many programs want each processor, over the last minute. */
function load(): string {
  return ((loadavg()[0] ?? 0) / availableParallelism()).toFixed(1);
}

/** On a machine that others keep busy everything takes as many times longer as there are programs for a processor. */
function allowedMs(): number {
  return recoveryLimitMs * Math.max(1, Number(load()));
}

/**
 * Does the operation with one of its effects struck, and looks at everything that must hold afterwards.
 * @param how `reboot`: when the agent is killed, so is all else of the host, and comes back without the agent at first;
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
    // An effect that failed by itself took the fault with it, such as removing what is not there.
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

/** A killed agent ends at once; its process may be seen to end a little later. */
async function endsSoon(host: TortureHost): Promise<boolean> {
  return Promise.race([host.agent.ended.then(() => true), sleep(5000).then(() => false)]);
}

/** Does the operation and kills the agent some time after its begin. */
export async function killDuring(host: TortureHost, operation: Operation, afterMs: number): Promise<Result> {
  return around({ host, operation }, async () => {
    const running = operation.run(host).catch(() => undefined);
    await Promise.race([running, sleep(afterMs)]);
    await host.agent.kill();
    await running;
    return true;
  });
}

/** Does the operation until it has ended, well or not, or the agent was killed in it. */
export async function ends(host: TortureHost, operation: Operation): Promise<void> {
  const running = operation.run(host).catch(() => undefined);
  const before = operation.starts === true ? new Promise<never>(() => {}) : host.agent.ended;
  const late = sleep(longestMs, "late", { ref: false });
  if ((await Promise.race([running, before, late])) === "late") {
    throw new Error(`the operation did not end within ${longestMs} ms`);
  }
  // Its calls break off with the agent.
  await Promise.race([running, sleep(1000)]);
}

/** @throws Error where it takes longer than anything does */
async function inTime<T>(work: Promise<T> | undefined, what: string): Promise<void> {
  const late = sleep(longestMs, "late", { ref: false });
  if ((await Promise.race([work, late])) === "late") throw new Error(`${what} did not end within ${longestMs} ms`);
}

interface Around {
  host: TortureHost;
  operation: Operation;
  strike?: Strike;
  brief?: boolean;
}

async function around(
  { host, operation, strike, brief = false }: Around,
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
    // What an earlier point has left over is that point's fault alone.
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
    if (recoveryMs > allowedMs())
      faults.push(`it took ${Math.round(recoveryMs)} ms to recover, at a load of ${load()}`);
    if (!(await host.stepsEnd(patienceMs))) faults.push("a step of the build goes on and on");
    seen = await prober.stop();
    const after = await releasesOf(host);
    const shown = await shownByLostReload(host, strike, since);
    const visible = new Set([...before, ...after, ...shown, ...(await cameLive(host, since))]);
    const bad = seen.failures.filter((failure) => operation.visitorsMaySee?.test(failure) !== true);
    if (bad.length > 0) faults.push(`${bad.length} of ${seen.requests} requests failed: ${bad[0]}`);
    for (const release of seen.releases) if (!visible.has(release)) faults.push(`visitors saw ${release}`);
    const pruned = operation.prunesLater === undefined;
    faults.push(...(await atRest(host, { pruned })).filter((left) => !known.has(left)));
    if (!brief) faults.push(...(await unchangedByAnotherStart(host)));
    if (!brief) faults.push(...(await goesOn(host)).filter((left) => !known.has(left.replace(later, ""))));
  } catch (error) {
    faults.push(`${couldNotGoOn}${(error as Error).message}`);
  } finally {
    await prober.stop();
    host.disarm();
  }
  return { operation: operation.name, strike, struck, faults, recoveryMs, requests: seen.requests, journal };
}

/** The releases that visitors may get: what is live, and a canary. */
async function releasesOf(host: TortureHost): Promise<string[]> {
  const { live, staged, journal } = await host.state();
  return [live, staged?.run, journal?.run].filter((run) => typeof run === "string").map(releaseOfRun);
}

/** Releases that had traffic for the first time since then, also where it went back. */
async function cameLive(host: TortureHost, since: Date): Promise<string[]> {
  const { releases } = await host.state();
  return releases.filter(({ live_at }) => live_at !== undefined && live_at >= since.toISOString()).map(({ id }) => id);
}

/** Where only the answer of a reload is lost, nginx has read the new release's site before it is undone: some may see it. */
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

async function atRest(host: TortureHost, { pruned = true } = {}): Promise<string[]> {
  const left = await leftovers(host, { pruned });
  const { live, staged } = await host.state();
  const serves = await releaseOf(host.site).catch((error: Error) => error.message);
  const may = [live, staged !== null && staged.weight > 0 ? staged.run : null].flatMap((run) => run ?? []);
  return may.map(releaseOfRun).includes(serves) ? left : [...left, `${live} is live and ${serves} answers`];
}

/** An agent that starts where nothing is left to do does nothing. */
async function unchangedByAnotherStart(host: TortureHost): Promise<string[]> {
  // Beside a canary it is chance who answers.
  const look = async () => ({ ...(await snapshotHost(host.agent, host.site)), visitorsSee: "" });
  const before = await look();
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

/** The next deploy works, and so does a rollback, which also makes the host as it was for the next point. */
async function goesOn(host: TortureHost): Promise<string[]> {
  const { release } = await host.deploy();
  const seen = await releaseOf(host.site);
  const faults = seen === release ? [] : [`${release} was deployed and ${seen} answers`];
  const back = succeeded(await host.rollback());
  const now = await releaseOf(host.site);
  if (now !== back.release) faults.push(`rolled back to ${back.release} and ${now} answers`);
  return [...faults, ...(await atRest(host)).map((left) => `${later}${left}`)];
}
