import { setTimeout as sleep } from "node:timers/promises";
import { print } from "../demo/show.ts";
import { copyShop } from "../fixtures/shop.ts";
import { startLoadProcess } from "../load/process.ts";
import { type LoadReport, type Summary, splitLatency, type TimeWindow } from "../load/report.ts";
import { untilIdle } from "./machine.ts";
import { type MeasuredDeploy, Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time, verdict } from "./table.ts";

export interface TrafficFigures {
  deploys: number;
  rate: number;
  sent: number;
  failed: number;
  /** Requests that deploys cut, by the agent's own count. */
  cut: number;
  sentByKind: Record<string, number>;
  /** Why requests failed, and how many. */
  reasons: Record<string, number>;
  /** Versions that answered: one more than deploys. */
  versions: number;
  /** Of the quick GETs, by what went on when they were due. */
  quiet: Summary;
  /** The Action collected and packed: on this machine, elsewhere in real life. */
  runner: Summary;
  /** The host had the bundle, and was at it until the old instances were gone or warm. */
  host: Summary;
  /** How late the generator sent: what the machine, not the site, added. */
  generatorLagP99: number;
}

/** Deploys under load. The load knows nothing of them, sends each request once, and counts from when it was due. */
export async function measureTraffic({ idleMs, shop: config, load: size }: Sizes): Promise<TrafficFigures> {
  const { deploys, rate, quietMs, pauseMs } = size;
  await using site = await Site.open("shop");
  await copyShop(site.project.path, { version: "v1", config });
  await site.deploy();
  await untilIdle(idleMs);
  await using load = await startLoadProcess({ url: site.url, rate });
  await sleep(quietMs);
  const done: MeasuredDeploy[] = [];
  for (let number = 1; number <= deploys; number++) {
    await copyShop(site.project.path, { version: `v${number + 1}`, config });
    done.push(await site.deploy());
    await sleep(pauseMs);
    const { sent, failed } = load.snapshot();
    print(`  deploy ${number} of ${deploys}: ${count(sent)} requests sent, ${failed} failed`);
  }
  return trafficFigures(await load.stop(), done);
}

export function trafficFigures(
  report: LoadReport,
  done: Pick<MeasuredDeploy, "begun" | "reachedHost" | "ended" | "cut">[],
) {
  const runner: TimeWindow[] = done.map(({ begun, reachedHost }) => ({ from: begun, to: reachedHost }));
  const host: TimeWindow[] = done.map(({ reachedHost, ended }) => ({ from: reachedHost, to: ended }));
  return {
    deploys: done.length,
    rate: report.rate,
    sent: report.sent,
    failed: report.failed,
    cut: done.reduce((sum, { cut }) => sum + cut, 0),
    sentByKind: Object.fromEntries(Object.entries(report.kinds).map(([kind, { sent }]) => [kind, sent])),
    reasons: tally(report.failures.map(({ kind, connection, reason }) => `${kind}, ${connection}: ${reason}`)),
    versions: report.versions.length,
    quiet: splitLatency(report, "get", [...runner, ...host]).outside,
    runner: splitLatency(report, "get", runner).inside,
    host: splitLatency(report, "get", host).inside,
    generatorLagP99: report.lag.p99,
  } satisfies TrafficFigures;
}

function tally(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

export function trafficTable(figures: TrafficFigures): Table {
  const { sent, failed, cut, sentByKind, reasons, quiet, runner, host, generatorLagP99, versions } = figures;
  const quick = (name: string, { count: all, p50, p99 }: Summary) => [name, count(all), time(p50), time(p99)];
  const { get = 0, post = 0, slow = 0, upload = 0 } = sentByKind;
  return {
    title: `${figures.deploys} deploys under ${figures.rate} requests a second: ${count(sent)} sent, ${failed} failed`,
    head: ["quick GETs", "count", "p50", "p99"],
    rows: [
      quick("between the deploys", quiet),
      quick("while the host deploys", host),
      quick("while the Action packs, on the same two cores", runner),
    ],
    notes: [
      `${verdict(failed === 0, "Target 0 failed")}.`,
      `${count(get)} quick GETs, ${count(post)} POSTs, ${count(slow)} two-second requests, ${count(upload)} two-second uploads;`,
      "half of them on kept connections, half on fresh ones, none repeated, each timed from when it was due.",
      `${versions} versions answered; ${cut} requests cut; the generator itself was up to ${time(generatorLagP99)} late (p99).`,
      ...Object.entries(reasons).map(([reason, times]) => `Failed: ${times} times ${reason}.`),
    ],
  };
}
