import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startLoadProcess } from "../load/process.ts";
import type { LoadReport } from "../load/report.ts";
import type { TortureHost } from "./host.ts";
import { leftovers } from "./leftovers.ts";

export interface SoakOptions {
  deploys: number;
  /** Requests a second. */
  rate?: number;
  /** At least this many requests in all. Deploys wait for them. */
  requests?: number;
}

/** Requests a second of the load that only uses kept connections. */
const keptRate = 50;

interface Counts {
  succeeded: number;
  broken: number;
  killed: number;
  unexpected: number;
  leftovers: number;
}

/**
 * Deploys in a row under load. Every tenth is broken on purpose; in every fifth the agent is killed at a random moment. With
 * ports, each reload of nginx closes idle connections that clients keep: a separate load shows what that costs.
 * @returns whether no request failed, nothing was left, and all other deploys worked
 */
export async function soak(host: TortureHost, options: SoakOptions): Promise<boolean> {
  const { deploys, rate = 200, requests = 0 } = options;
  const common = { url: host.site, slowMs: 1000, longestMs: 60 * 60_000 };
  const load = await startLoadProcess({ ...common, rate, ...(host.bind === "port" && { fresh: 1 }) });
  const kept = host.bind === "port" ? await startLoadProcess({ ...common, rate: keptRate, fresh: 0 }) : undefined;
  const counts: Counts = { succeeded: 0, broken: 0, killed: 0, unexpected: 0, leftovers: 0 };
  const memory: number[] = [];
  try {
    for (let deploy = 1; deploy <= deploys; deploy++) {
      counts[await deployOnce(host, deploy)]++;
      if (!(await host.settles(30_000))) counts.unexpected++;
      const left = await leftovers(host);
      counts.leftovers += left.length;
      for (const what of left) console.log(`deploy ${deploy}: ${what}`);
      memory.push(residentBytes(host.agent.pid));
      while (load.snapshot().sent < (requests / deploys) * deploy) await sleep(50);
      if (deploy % 10 === 0) console.log(`${deploy} deploys: ${JSON.stringify(counts)}, ${megabytes(memory.at(-1))}`);
    }
  } finally {
    const report = await load.stop();
    console.log(
      `bind ${host.bind}: ${deploys} deploys, ${report.sent} requests, ${report.failed} failed, ${counts.leftovers} leftovers`,
    );
    for (const failure of report.failures.slice(0, 10)) console.log(JSON.stringify(failure));
    if (kept !== undefined) sayKept(await kept.stop());
    sayMemory(memory);
    counts.unexpected += report.failed;
  }
  return counts.unexpected + counts.leftovers === 0;
}

/** @returns the count that this deploy adds to */
async function deployOnce(host: TortureHost, deploy: number): Promise<keyof Counts> {
  const broken = deploy % 10 === 0;
  const config = broken ? { env: { BROKEN: "yes" }, health: { path: "/", timeout: "1s" } } : {};
  const ending = host.tryDeploy({ config }).then(
    ({ outcome }) => outcome,
    () => "lost" as const,
  );
  if (!broken && deploy % 5 === 0) {
    await sleep(Math.random() * 1500);
    await host.agent.kill();
    await ending;
    await host.agent.start();
    return "killed";
  }
  if ((await ending) !== (broken ? "failed" : "succeeded")) return "unexpected";
  return broken ? "broken" : "succeeded";
}

function sayKept({ sent, failed, failures }: LoadReport): void {
  const reasons = [...new Set(failures.map(({ reason }) => reason))].join(", ");
  console.log(`on kept connections: ${sent} requests, ${failed} failed (${reasons})`);
}

function sayMemory(memory: number[]): void {
  console.log(
    `the agent's memory: ${megabytes(memory[9])} after the tenth deploy, at most ${megabytes(Math.max(...memory))}, ` +
      `at the end ${megabytes(memory.at(-1))}`,
  );
}

function residentBytes(pid: number | undefined): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

function megabytes(bytes = 0): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}
