import { setTimeout as sleep } from "node:timers/promises";
import { print } from "../demo/show.ts";
import { copyShop } from "../fixtures/shop.ts";
import { startLoadProcess } from "../load/process.ts";
import type { Summary } from "../load/report.ts";
import { untilIdle } from "./machine.ts";
import { type MeasuredDeploy, Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time } from "./table.ts";
import { trafficFigures } from "./traffic.ts";

/** What visitors and a deploy have of each other on one kind of host. */
interface Side {
  between: Summary;
  during: Summary;
  /** p99 during deploys, divided by p99 between them. */
  ratio: number;
  /** The median time of the host's part of a deploy, in milliseconds. */
  deployMs: number;
  failed: number;
  generatorLagP99: number;
}

export interface QuietFigures {
  deploys: number;
  rate: number;
  quiet: Side;
  loud: Side;
  /** The time of a quiet deploy, divided by that of a loud one. */
  slower: number;
}

/**
 * Starts a program with a share of its own: the nice value for the process, and for the group that the kernel makes of its
 * session. The visitors and the runner are other machines in real life, so here the load goes before the host, and the Action
 * after it: neither takes of what the host's programs share.
 */
const withNice = (nice: number) => ["python3", "-c", renice, String(nice)];

/** A shell would drop the Action's inputs, whose names hold dashes. */
const renice = `import os, sys
if os.getpid() != os.getpgid(0): os.setsid()
os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[1]))
try: open("/proc/self/autogroup", "w").write(sys.argv[1])
except OSError: pass
os.execvp(sys.argv[2], sys.argv[2:])`;

/** Without this capability the agent lets instances boot at the full share, as it did before. */
const loudly = ["setpriv", "--bounding-set", "-sys_nice", "--"];

/** Quick requests during deploys and between them, with quiet deploys and without. */
export async function measureQuiet(sizes: Sizes): Promise<QuietFigures> {
  const { deploys, rate } = sizes.quiet;
  const loud = await measureSide(sizes, loudly);
  const quiet = await measureSide(sizes, []);
  return { deploys, rate, quiet, loud, slower: quiet.deployMs / loud.deployMs };
}

async function measureSide({ idleMs, shop: config, quiet: size }: Sizes, before: string[]): Promise<Side> {
  await using site = await Site.open("shop", { before, through: withNice(19) });
  await copyShop(site.project.path, { version: "v1", config });
  await site.deploy();
  await untilIdle(idleMs);
  await using load = await startLoadProcess({ url: site.url, rate: size.rate }, withNice(-15));
  await sleep(size.quietMs);
  const done: MeasuredDeploy[] = [];
  for (let number = 1; number <= size.deploys; number++) {
    await copyShop(site.project.path, { version: `v${number + 1}`, config });
    done.push(await site.deploy());
    await sleep(size.pauseMs);
  }
  const { quiet: between, host: during, failed, generatorLagP99 } = trafficFigures(await load.stop(), done);
  const times = done.map(({ reachedHost, cutOver }) => cutOver - reachedHost).toSorted((one, other) => one - other);
  const deployMs = times[Math.floor(times.length / 2)] ?? 0;
  print(
    `  ${before.length > 0 ? "loud" : "quiet"}: p99 ${time(between.p99)} between, ${time(during.p99)} during deploys`,
  );
  return { between, during, ratio: during.p99 / between.p99, deployMs, failed, generatorLagP99 };
}

export function quietTable({ deploys, rate, quiet, loud, slower }: QuietFigures): Table {
  const row = (name: string, { between, during, ratio, deployMs }: Side) => [
    name,
    time(between.p99),
    time(during.p99),
    ratio.toFixed(1),
    time(deployMs),
  ];
  return {
    title: `Quick GETs during ${deploys} deploys at ${count(rate)} requests a second`,
    head: ["instances boot", "p99 between", "p99 during", "ratio", "host's part of a deploy"],
    rows: [row("with a lower share", quiet), row("at the full share", loud)],
    notes: [
      `Targets: ratio at most 2, deploys at most 1.2 times as long (${slower.toFixed(2)}).`,
      `${quiet.failed + loud.failed} requests failed; the generator was up to ${time(quiet.generatorLagP99)} late (p99).`,
      "The load goes before the host's programs (nice -15) and the Action after them (nice 19): both are other machines in real life.",
    ],
  };
}
