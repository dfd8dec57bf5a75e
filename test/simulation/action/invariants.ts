import { expect } from "vitest";
import type { HostReport } from "../../../action/report/job-report.ts";
import type { History, HostHistory, Told } from "./history.ts";
import { oldRelease, type SimulatedHost } from "./simulated-host.ts";
import { type Fault, newRelease } from "./simulated-network.ts";

/** After it is asked to end, a job may go back on its hosts, and abort what is left. */
export const undoLimitMs = 310_000;
/** GitHub kills a cancelled job after ten seconds. */
const killedMs = 10_000;

/** All that has to be true at the end of a job, each with a name. @throws what `expect` throws */
export function check(history: History, told: Told): void {
  endsInTime(history, told);
  for (const [index, host] of told.hosts.entries()) {
    const report = told.job.report.hosts[index];
    if (report === undefined) continue;
    saysWhatIs(`web${index}`, report, host, history);
    claimsNothing(`web${index}`, report, host, history);
    takesNothingBack(report, history);
  }
  if (!told.failed) succeedsEverywhere(history, told);
  else {
    allOrNone(history, told);
    failsForAReason(history, told);
  }
}

/** Streams that are cut, and answers that take a while, are no reason to fail. */
function failsForAReason({ hosts, checkFailsAt, canary }: History, { job, stoppedMs }: Told): void {
  const harmless = (fault: Fault) =>
    fault.kind === "none" || fault.kind === "cut" || (fault.kind === "slow" && fault.ms < 30_000);
  const isWell = ({ behaviour, faults, outages }: HostHistory) =>
    faults.every(harmless) &&
    outages.length === 0 &&
    behaviour.fails === undefined &&
    (behaviour.canaryFailsAt === undefined || !canary) &&
    behaviour.protocol === 1 &&
    behaviour.busyUntilMs === 0;
  if (stoppedMs !== undefined || (checkFailsAt > 0 && canary) || !hosts.every(isWell)) return;
  expect(job.report.failure?.message, "it fails, and nothing went wrong").toBeUndefined();
}

function endsInTime({ timeoutS, cancelMs }: History, { endedMs }: Told): void {
  expect(endedMs, "it ends within its limit, and the time for going back").toBeLessThanOrEqual(
    timeoutS * 1000 + undoLimitMs,
  );
  if (cancelMs === undefined || endedMs < cancelMs) return;
  expect(endedMs - cancelMs, "it has ended before GitHub kills a cancelled job").toBeLessThan(killedMs);
}

/** Which release a deploy or an activation should bring. */
function isNew(host: SimulatedHost): boolean {
  return host.live === newRelease;
}

function saysWhatIs(name: string, report: HostReport, host: SimulatedHost, { command }: History): void {
  const { outcome, release, note = "" } = report;
  const at = `${name} is ${outcome}${note === "" ? "" : ` (${note})`}, its live release`;
  const named = /(\S+) has the traffic[.:]/.exec(note)?.[1];
  if (named !== undefined) expect(host.live, at).toBe(named);
  const part = /It has (\d+) % of the traffic\./.exec(note)?.[1];
  if (part !== undefined) expect(host.staged?.weight, `${name} (${note}), its canary's weight`).toBe(Number(part));
  if (/a part of the traffic\./.test(note)) expect(host.staged?.weight, `${name} (${note})`).toBeGreaterThan(0);
  if (/not known|could not be aborted|traffic/.test(note)) return;
  const moves = command === "deploy" || command === "activate";
  switch (outcome) {
    case "not_started":
      expect({ live: host.live, staged: host.staged, begun: host.begun }, at).toEqual({
        live: oldRelease,
        staged: undefined,
        begun: 0,
      });
      return;
    case "succeeded":
      expect(host.live, at).toBe(release);
      return;
    case "staged":
      expect(host.staged?.deployment.release, `${name}: what is staged`).toBe(release);
      return;
    case "aborted":
    case "rolled_back":
    case "failed":
      if (moves || command === "stage") expect(isNew(host), `${at} is the new one`).toBe(false);
      if (outcome !== "failed") expect(host.staged, `${name} is ${outcome}: what is staged`).toBeUndefined();
      return;
    case "unknown":
      expect.fail(`${name}: nothing is said of what is on it`);
  }
}

/** No word of "nothing was changed" after a call that worked. */
function claimsNothing(name: string, { failure }: HostReport, host: SimulatedHost, { command }: History): void {
  const single = command === "rollback" || command === "redeploy" || command === "activate";
  if (!single || failure?.unchanged !== "Nothing was changed on this host by this call.") return;
  expect(host.begun, `${name}: calls that worked, of which it says that nothing was changed`).toBe(0);
}

/** A job that goes back, or gives fresh instances, is not itself taken back. */
function takesNothingBack(report: HostReport, { command }: History): void {
  if (command !== "rollback" && command !== "redeploy") return;
  expect(report.phases.map(({ name }) => name).filter((name) => name.startsWith("go back"))).toEqual([]);
}

function succeedsEverywhere({ command }: History, { job, hosts }: Told): void {
  const wanted = command === "stage" ? "staged" : "succeeded";
  expect(job.report.hosts.map(({ outcome }) => outcome)).toEqual(hosts.map(() => wanted));
}

/** Without a fault of the network, no host has the new release while another one has not, unless a person cancels. */
function allOrNone(history: History, { hosts, endedMs }: Told): void {
  const { command, cancelMs } = history;
  const isCancelled = cancelMs !== undefined && cancelMs <= endedMs;
  const disturbed = history.hosts.some(({ faults, outages }) => faults.length + outages.length > 0);
  // A host that will not go back, or not in time, says so in its note.
  const stuck = history.hosts.some(
    ({ behaviour: { fails, stateMs } }) => fails?.kind === "rollback" || stateMs > 60_000,
  );
  if (command !== "deploy" || isCancelled || disturbed || stuck) return;
  expect(new Set(hosts.map(isNew)).size, "all hosts have the new release, or none").toBe(1);
}
