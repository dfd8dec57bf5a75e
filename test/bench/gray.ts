import { setTimeout as sleep } from "node:timers/promises";
import { print } from "../demo/show.ts";
import { copyShop } from "../fixtures/shop.ts";
import { askAsClients, shareOf } from "../load/clients.ts";
import { startLoadProcess } from "../load/process.ts";
import { type Summary, splitLatency, type TimeWindow } from "../load/report.ts";
import { untilIdle } from "./machine.ts";
import { Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time, verdict } from "./table.ts";

type Balance = "round_robin" | "ip_hash";

interface Step {
  balance: Balance;
  weight: number;
  /** What part of the answers came from the new release, in percent. */
  share: number;
  /** Clients that had the new release at the step before and the old one now; only under ip_hash is there anything to keep. */
  back: number;
}

export interface GrayFigures {
  steps: Step[];
  requests: number;
  /** Of the other visitors, requests a second. */
  rate: number;
  sent: number;
  failed: number;
  /** nginx masters and workers that were replaced: a reload. */
  reloads: number;
  quiet: Summary;
  /** Quick GETs that were due while a step was made, from the Action's start to its end. */
  step: Summary;
}

const siteName = "shop.example.com";

/** A gray release under both ways of sharing, with other visitors on the site all the while. */
export async function measureGray({ idleMs, shop, gray }: Sizes): Promise<GrayFigures> {
  const { weights, requests, rate, quietMs } = gray;
  await using site = await Site.open("shop");
  const project = site.project.path;
  const steps: Step[] = [];
  const windows: TimeWindow[] = [];
  /** When the shares were counted, as fast as this machine can ask. */
  const busy: TimeWindow[] = [];
  await copyShop(project, { version: "v1", config: { ...shop, site: { balance: "round_robin" } } });
  await site.deploy();
  await untilIdle(idleMs);
  await using load = await startLoadProcess({ url: site.url, rate });
  await sleep(quietMs);
  let reloads = 0;
  for (const [round, balance] of (["round_robin", "ip_hash"] as const).entries()) {
    const old = `v${2 * round + 1}`;
    const fresh = `v${2 * round + 2}`;
    if (round > 0) {
      await copyShop(project, { version: old, config: { ...shop, site: { balance } } });
      await site.deploy();
    }
    await copyShop(project, { version: fresh, config: { ...shop, site: { balance } } });
    const { outputs } = await site.act({ command: "stage" });
    const workers = await site.nginxWorkers();
    let before = new Map<number, string>();
    for (const weight of weights) {
      const from = Date.now();
      await site.act({ command: "activate", release: outputs.release ?? "", weight: String(weight) });
      windows.push({ from, to: Date.now() });
      const asking = Date.now();
      const answers = await askAsClients(site.url, siteName, requests);
      busy.push({ from: asking, to: Date.now() });
      const back = [...before].filter(([client, version]) => version === fresh && answers.get(client) !== fresh).length;
      steps.push({ balance, weight, share: shareOf(answers, fresh), back });
      before = answers;
      print(`  ${balance}, ${weight} %: ${shareOf(answers, fresh).toFixed(2)} % of ${count(requests)} requests`);
    }
    if (String(await site.nginxWorkers()) !== String(workers)) reloads++;
    await site.act({ command: "activate", release: outputs.release ?? "" });
  }
  const report = await load.stop();
  const quiet = splitLatency(report, "get", [...windows, ...busy]).outside;
  const step = splitLatency(report, "get", windows).inside;
  return { steps, requests, rate, sent: report.sent, failed: report.failed, reloads, quiet, step };
}

export function grayTable({ steps, requests: asked, rate, sent, failed, reloads, quiet, step }: GrayFigures): Table {
  const worst = Math.max(...steps.map(({ weight, share }) => Math.abs(share - weight)));
  const back = steps.filter(({ balance }) => balance === "ip_hash").reduce((sum, each) => sum + each.back, 0);
  return {
    title: `Gray release on sockets: shares of ${count(asked)} requests at each step`,
    head: ["balance", "weight", "share", "clients back on the old release"],
    rows: steps.map((each) => [
      each.balance,
      `${each.weight} %`,
      `${each.share.toFixed(2)} %`,
      each.balance === "ip_hash" ? String(each.back) : "",
    ]),
    notes: [
      `${verdict(worst <= 2, "Target within 2 points")}, ${worst.toFixed(2)} at most.`,
      `${verdict(back === 0 && reloads === 0, "Target no client back and no reload of nginx")}.`,
      `Beside it ${rate} requests a second, ${count(sent)} sent, ${failed} failed;`,
      `p99 of quick GETs ${time(step.p99)} during a step (with the Action on the same two cores), ${time(quiet.p99)} otherwise.`,
    ],
  };
}
