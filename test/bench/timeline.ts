import type { ReportedState } from "../../shared/deployment-states.ts";
import type { DeploymentEvent } from "../../shared/protocol.ts";

/** A line of the Action's log and when it came, in milliseconds since the epoch. */
export interface TimedLine {
  at: number;
  line: string;
}

export interface Phase {
  name: string;
  ms: number;
}

/** Where a phase ends; undefined where the deploy did not have it. */
export interface PhaseEnd {
  name: string;
  at: number | undefined;
}

/** Each phase from the end of the one before, so that together they are the whole. */
export function phasesFrom(start: number, ends: PhaseEnd[]): Phase[] {
  let before = start;
  return ends.flatMap(({ name, at }) => {
    if (at === undefined) return [];
    const phase = { name, ms: at - before };
    before = at;
    return [phase];
  });
}

/**
 * A deploy's phases on one clock: the Action's from its log, the host's from the events of its two deployments, the one
 * that staged the release and the one that moved the traffic.
 */
export function phaseEnds(log: TimedLine[], stage: DeploymentEvent[], activate: DeploymentEvent[]): PhaseEnd[] {
  const end = (name: string) => log.find(({ line }) => line.startsWith(`${name} (`));
  const ends = (name: string) => end(name)?.at;
  const wheels = end("wheels");
  return [
    { name: "start the Action, ask for the agent", at: wheels && wheels.at - tookOf(wheels.line) },
    { name: "wheels", at: ends("wheels") },
    { name: "collectstatic", at: ends("collect static files") },
    { name: "manifest", at: ends("manifest") },
    { name: "pack", at: ends("pack") },
    { name: "sign, begin to upload, verify the manifest", at: reachedAt(stage, "verified") },
    { name: "upload, unpack, verify each file", at: reachedAt(stage, "unpacked") },
    { name: "build", at: reachedAt(stage, "built") },
    { name: "release command", at: reachedAt(stage, "released") },
    { name: "start the instances", at: reachedAt(stage, "started") },
    { name: "until all are healthy", at: reachedAt(stage, "healthy") },
    { name: "activate, move all slots", at: reachedAt(activate, "cut_over") },
  ];
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000 };

/** Milliseconds of a line such as `wheels (1m 2.5s)`. */
function tookOf(line: string): number {
  const words = /\(([^)]+)\)/.exec(line)?.[1]?.matchAll(/([\d.]+)(ms|s|m)\b/g) ?? [];
  return [...words].reduce((sum, [, count, unit = ""]) => sum + Number(count) * (unitMs[unit] ?? 0), 0);
}

/** When a deployment reached a state, in milliseconds since the epoch. */
export function reachedAt(events: DeploymentEvent[], state: ReportedState): number | undefined {
  const event = events.find((each) => each.type === "state" && each.state === state);
  return event === undefined ? undefined : Date.parse(event.at);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

/** The median of each phase over all rounds, in the order of the first. */
export function medianPhases(rounds: Phase[][]): Phase[] {
  return (rounds[0] ?? []).map(({ name }) => ({
    name,
    ms: median(rounds.flatMap((phases) => phases.filter((phase) => phase.name === name).map(({ ms }) => ms))),
  }));
}
