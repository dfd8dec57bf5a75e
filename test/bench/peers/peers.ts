import { setTimeout as sleep } from "node:timers/promises";
import prettyBytes from "pretty-bytes";
import { print } from "../../demo/show.ts";
import { startLoadProcess } from "../../load/process.ts";
import { type LoadReport, splitLatency, type TimeWindow } from "../../load/report.ts";
import { untilIdle } from "../machine.ts";
import { changeOneFile, writeProject } from "../project.ts";
import type { Sizes } from "../sizes.ts";
import { count, type Table, time } from "../table.ts";
import { median } from "../timeline.ts";
import { openBlueGreen } from "./blue-green.ts";
import { openCapistrano } from "./capistrano.ts";
import { openCutover } from "./cutover.ts";
import { openRsync } from "./rsync.ts";
import type { OpenTool, Tool } from "./tool.ts";

/** Times in milliseconds. */
export interface PeerFigures {
  tool: string;
  sent: number;
  failed: number;
  /** Of quick GETs that were due while a deploy ran, and while none did. */
  p99: { deploying: number; quiet: number };
  /** Medians: until the first visitor had the change, and until the tool had ended. */
  live: number;
  ended: number;
  /** The median of what a deploy sent to the host and got from it. */
  bytes: number;
}

export interface PeersFigures {
  deploys: number;
  rate: number;
  files: number;
  tools: PeerFigures[];
}

const tools: Record<string, OpenTool> = {
  "rsync, then restart": openRsync,
  "Capistrano, then restart": openCapistrano,
  "two groups and nginx's reload": openBlueGreen,
  cutover: openCutover,
};

interface Round {
  version: string;
  begun: number;
  ended: number;
  bytes: number;
}

/** The same change of one file, brought by each tool to the same Django project under the same load. */
export async function measurePeers({ idleMs, peers }: Sizes): Promise<PeersFigures> {
  const measured: PeerFigures[] = [];
  let files = 0;
  const write = (directory: string) => {
    files = writeProject(directory, peers.project).files;
  };
  for (const [name, open] of Object.entries(tools)) {
    await using tool = await open(write);
    await untilIdle(idleMs);
    const { rounds, report } = await deployUnderLoad(tool, peers);
    const figures = { tool: name, ...figuresOf(rounds, report) };
    measured.push(figures);
    print(`  ${name}: ${count(figures.sent)} requests sent, ${count(figures.failed)} failed`);
  }
  return { deploys: peers.deploys, rate: peers.rate, files, tools: measured };
}

async function deployUnderLoad(tool: Tool, { deploys, rate, quietMs, pauseMs }: Sizes["peers"]) {
  await using load = await startLoadProcess({ url: tool.url, rate, shares: { get: 1 } });
  await sleep(quietMs);
  const rounds: Round[] = [];
  for (let number = 2; number < deploys + 2; number++) {
    changeOneFile(tool.project, number);
    const before = tool.bytes;
    const begun = Date.now();
    await tool.deploy();
    const ended = Date.now();
    // Whoever restarts may have ended before the instances answer.
    await untilSeen(tool.url, `v${number}`);
    rounds.push({ version: `v${number}`, begun, ended, bytes: tool.bytes - before });
    await sleep(pauseMs);
  }
  return { rounds, report: await load.stop() };
}

/** @throws Error when visitors do not see the version within half a minute */
async function untilSeen(url: string, version: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const answer = await fetch(`${url}/version`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    if ((await answer?.text())?.startsWith(version)) return;
    if (performance.now() > deadline) throw new Error(`${url} does not answer with ${version}`);
    await sleep(50);
  }
}

function figuresOf(rounds: Round[], report: LoadReport): Omit<PeerFigures, "tool"> {
  const windows: TimeWindow[] = rounds.map(({ begun, ended }) => ({ from: begun, to: ended }));
  const { inside, outside } = splitLatency(report, "get", windows);
  const firstSeen = ({ version, begun }: Round) => {
    const seen = report.versions.find((each) => each.version === version);
    return report.started + (seen?.first ?? Number.NaN) - begun;
  };
  return {
    sent: report.sent,
    failed: report.failed,
    p99: { deploying: inside.p99, quiet: outside.p99 },
    live: median(rounds.map(firstSeen)),
    ended: median(rounds.map(({ begun, ended }) => ended - begun)),
    bytes: median(rounds.map(({ bytes }) => bytes)),
  };
}

export function peersTable({ deploys, rate, files, tools: measured }: PeersFigures): Table {
  return {
    title: `${deploys} deploys of one changed file of ${count(files)} under ${rate} requests a second, by each tool`,
    head: ["tool", "failed requests", "p99 in deploys", "p99 between", "live after", "ended after", "sent"],
    rows: measured.map(({ tool, sent, failed, p99, live, ended, bytes }) => [
      tool,
      `${count(failed)} of ${count(sent)}`,
      time(p99.deploying),
      time(p99.quiet),
      time(live),
      time(ended),
      prettyBytes(bytes),
    ]),
    notes: [
      "Each with its own nginx and supervisord on this machine, two gunicorns, pip and collectstatic at each deploy; times are medians.",
      "Live after: until the first visitor had the change. Sent: over ssh, git or HTTP, both ways. p99 is of requests that succeeded.",
    ],
  };
}
