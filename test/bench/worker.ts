import { cp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { appLayout } from "../../agent/host/store/layout.ts";
import { print } from "../demo/show.ts";
import { systemPath } from "../harness/places.ts";
import { Redis } from "../harness/redis.ts";
import { runProgram } from "../harness/run.ts";
import { beatsTogether, celeryProject, type JobReport, JobStream, longestWaits } from "../load/jobs.ts";
import { untilIdle } from "./machine.ts";
import { Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time, verdict } from "./table.ts";
import { median } from "./timeline.ts";

/** Milliseconds throughout. */
export interface WorkerFigures {
  versions: string;
  deploys: number;
  rate: number;
  sent: number;
  /** Jobs that the site did not take. */
  refused: number;
  lost: number;
  cut: number;
  twice: number;
  /** The longest that a job waited for a worker, by what went on when it was sent. */
  longestWait: { between: number; during: number };
  /** The median time from starting the Action to its end: stay_up and the wait for the old worker are in it. */
  deploy: number;
  /** Pairs of beats that were there at the same time. */
  beatsTogether: number;
  /** Beat ticks once a second. */
  longestTickGap: number;
}

const app = "shop";
/** Jobs a second. */
const rate = 4;

/** Deploys under a steady stream of jobs, with a Celery worker, a beat and a Redis that are real. */
export async function measureWorker({ idleMs, worker: size }: Sizes): Promise<WorkerFigures> {
  const { deploys, quietMs, pauseMs } = size;
  await using redis = await Redis.start();
  await using site = await Site.open(app);
  await cp(celeryProject, site.project.path, { recursive: true });
  await site.agent.writeSecrets(app, { SHOP_BROKER: redis.broker });
  await site.deploy();
  await untilIdle(idleMs);
  const { shared } = appLayout(join(site.agent.directory, "data"), app);
  await using jobs = new JobStream({ url: site.url, rate, journal: join(shared, "journal") });
  await sleep(quietMs);
  const windows: { from: number; to: number }[] = [];
  for (let number = 1; number <= deploys; number++) {
    const { begun, ended } = await site.deploy();
    windows.push({ from: begun, to: ended });
    await sleep(pauseMs);
    print(`  deploy ${number} of ${deploys}: ${time(ended - begun)}, ${count(jobs.sent)} jobs sent`);
  }
  return { versions: await versions(), ...workerFigures(await jobs.stop(), windows) };
}

async function versions(): Promise<string> {
  const code =
    "import celery, kombu, redis; print(f'Celery {celery.__version__}, kombu {kombu.__version__}, redis-py {redis.__version__}')";
  const python = await runProgram(["/usr/bin/python3", "-c", code], { env: { PATH: systemPath } });
  const server = await runProgram(["redis-server", "--version"], { env: { PATH: systemPath } });
  return `${python.stdout.trim()}, Redis ${/v=(\S+)/.exec(server.stdout)?.[1] ?? "?"}`;
}

export function workerFigures(report: JobReport, windows: { from: number; to: number }[]) {
  return {
    deploys: windows.length,
    rate,
    sent: report.sent,
    refused: report.refused.length,
    lost: report.lost.length,
    cut: report.cut.length,
    twice: report.twice.length,
    longestWait: longestWaits(report.waits, windows),
    deploy: median(windows.map(({ from, to }) => to - from)),
    beatsTogether: beatsTogether(report.beats).length,
    longestTickGap: report.longestTickGap,
  } satisfies Omit<WorkerFigures, "versions">;
}

export function workerTable(figures: WorkerFigures): Table {
  const { sent, refused, lost, cut, twice, longestWait, deploy, beatsTogether: together, longestTickGap } = figures;
  return {
    title: `${figures.deploys} deploys under ${figures.rate} jobs a second, Celery on Redis: ${count(sent)} sent, ${lost} lost, ${cut} cut`,
    head: ["jobs", "figure"],
    rows: [
      ["sent", count(sent)],
      ["not taken by the site", count(refused)],
      ["lost", count(lost)],
      ["begun and cut", count(cut)],
      ["done twice", count(twice)],
      ["longest wait for a worker, between the deploys", time(longestWait.between)],
      ["longest wait for a worker, during a deploy", time(longestWait.during)],
      ["longest time without a tick of a beat that ticks every second", time(longestTickGap)],
      ["a deploy, from starting the Action to its end (median)", time(deploy)],
    ],
    notes: [
      `${verdict(refused + lost + cut === 0, "Target 0 lost, 0 cut")}; ${verdict(together === 0, "never two beats at once")}.`,
      `${figures.versions}. Jobs take 0.2 to 1 s.`,
      "The longest wait is of a job that the old worker got from Redis while it stopped, and gave back.",
    ],
  };
}
