import prettyMs from "pretty-ms";
import type { Bind } from "./bundles.ts";
import type { Result } from "./strike.ts";

export type BoundResult = Result & { bind: Bind };

/** The line of one point, and below it what was wrong. */
export function describeResult(result: BoundResult): string {
  const { bind, operation, strike, afterMs = 0, struck, faults, recoveryMs, requests } = result;
  const time = strike?.time === undefined || strike.time === 1 ? "" : ` ${strike.time}`;
  const effect = strike === undefined ? `after ${Math.round(afterMs)} ms` : `${strike.effect}${time}`;
  const how = strike?.fault ?? "kill";
  const verdict = faults.length > 0 ? "NOT WELL" : struck ? "well" : "not reached";
  const columns = [bind.padEnd(6), operation.padEnd(23), effect.padEnd(25), how.padEnd(15), verdict.padEnd(11)];
  const line = `${columns.join(" ")} ${prettyMs(Math.round(recoveryMs)).padStart(7)} ${String(requests).padStart(5)}`;
  // An agent that does not answer says so with all of its log.
  return [line, ...faults.map((fault) => `       ${fault.slice(0, 1000)}`)].join("\n");
}

/** A table of all points by bind and by fault. */
export function describeAll(results: BoundResult[]): string {
  const kinds = new Map<string, BoundResult[]>();
  for (const result of results) {
    const kind = `${result.bind.padEnd(6)} ${kindOf(result)}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), result]);
  }
  const head = ["bind   what", "points", "not well", "not reached", "requests", "longest recovery"];
  const rows = [...kinds].map(([kind, some]) => [kind, ...sumsOf(some)]);
  return [head, ...rows, ["both", ...sumsOf(results)]].map(lineOf).join("\n");
}

function kindOf({ strike }: Result): string {
  if (strike === undefined) return "killed at any time";
  return strike.fault.startsWith("kill") ? strike.fault.replace("kill-", "killed ") : "failed";
}

function sumsOf(results: Result[]): string[] {
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  const longest = Math.max(0, ...results.map(({ recoveryMs }) => recoveryMs));
  return [
    String(results.length),
    String(results.filter(({ faults }) => faults.length > 0).length),
    String(results.filter(({ struck }) => !struck).length),
    String(requests),
    prettyMs(longest),
  ];
}

function lineOf([first = "", ...columns]: string[]): string {
  return `${first.padEnd(26)} ${columns.map((column) => column.padStart(16)).join(" ")}`;
}
