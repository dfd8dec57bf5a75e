import { rmSync } from "node:fs";
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { childrenOf, readPidFile } from "../../agent/host/exec/processes.ts";
import { requestPlaces } from "../../agent/host/store/layout.ts";
import { print } from "../demo/show.ts";
import { copyShop } from "../fixtures/shop.ts";
import { processorOf, untilIdle } from "./machine.ts";
import { memoryOf } from "./memory.ts";
import { Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, memory, type Table, verdict } from "./table.ts";

/** What a stretch of requests costs: shares of one processor, and the agent's anonymous memory in bytes. */
interface Cost {
  requests: number;
  /** Requests a second that were answered. */
  rate: number;
  nginx: number;
  agent: number;
  memory: number;
}

export interface RequestFigures {
  /** nginx answers, and writes no lines. */
  without: Cost;
  /** It writes lines, and the agent counts. */
  counted: Cost;
  /** What the agent has counted of them. */
  total: number;
}

const app = "shop";

/**
 * What it costs to count visitors' requests: nginx's and the agent's processor, with lines and without. The site is closed for
 * maintenance, so nginx alone answers. Each is a failure with a path, which are the longest lines.
 */
export async function measureRequests({ idleMs, requests: size, shop }: Sizes): Promise<RequestFigures> {
  await using site = await Site.open(app);
  await copyShop(site.project.path, { config: shop });
  await site.deploy();
  await site.agent.cutover("maintenance", "on", app);
  await untilIdle(idleMs);
  const { data } = embeddedLayout(site.agent.directory);
  const { periods } = requestPlaces(data);
  const counted = await cost(site, size);
  const total = await countedBy(site);
  // Without these nginx writes nothing. The agent makes them again in the next period.
  const unread = setInterval(() => rmSync(periods, { recursive: true, force: true }), 100);
  try {
    return { counted, total, without: await cost(site, size) };
  } finally {
    clearInterval(unread);
  }
}

async function cost(site: Site, { rate, seconds }: Sizes["requests"]): Promise<Cost> {
  const nginx = await readPidFile(embeddedLayout(site.agent.directory).nginx.pidFile);
  const { pid: agent } = site.agent;
  if (nginx === undefined || agent === undefined) throw new Error("nginx or the agent is gone");
  const workers = await childrenOf(nginx);
  const spent = (pids: number[]) => pids.reduce((sum, pid) => sum + processorOf(pid), 0);
  const began = { at: performance.now(), nginx: spent(workers), agent: spent([agent]) };
  const requests = await ask(site.url, rate * seconds, rate);
  // What was written last is read a second later.
  await sleep(1500);
  const took = performance.now() - began.at;
  const figures = {
    ...{ requests, rate: (requests / took) * 1000 },
    nginx: (spent(workers) - began.nginx) / took,
    agent: (spent([agent]) - began.agent) / took,
    memory: memoryOf(agent).anonymous,
  };
  print(`  ${count(requests)} requests: nginx ${share(figures.nginx)}, agent ${share(figures.agent)}`);
  return figures;
}

/** Sends so many requests, at this rate, and waits for their answers. */
async function ask(url: string, all: number, rate: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const answers: Promise<void>[] = [];
  const began = performance.now();
  for (let sent = 0; sent < all; ) {
    const due = Math.min(all, Math.ceil(((performance.now() - began) / 1000) * rate));
    for (; sent < due; sent++) answers.push(answered(`${url}/page/${sent % 40}?visit=${sent}`, agent));
    await sleep(5);
  }
  await Promise.all(answers);
  agent.destroy();
  return all;
}

function answered(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => response.resume().on("end", resolve)).on("error", reject);
  });
}

async function countedBy(site: Site): Promise<number> {
  const { stdout } = await site.agent.cutover("top", "--seconds", "3600", "--json");
  const [shown] = JSON.parse(stdout) as [{ requests?: { runs: { role: string; requests: number }[] } }];
  return shown.requests?.runs.find(({ role }) => role === "none")?.requests ?? 0;
}

export function requestsTable({ without, counted, total }: RequestFigures): Table {
  const row = (name: string, { rate, nginx, agent, memory: held }: Cost) => [
    name,
    count(Math.round(rate)),
    share(nginx),
    share(agent),
    memory(held),
  ];
  const more = counted.nginx + counted.agent - without.nginx - without.agent;
  return {
    title: "Visitors' requests are counted",
    head: ["", "requests/s", "nginx", "agent", "agent's memory"],
    rows: [row("nginx writes no lines", without), row("lines are written and counted", counted)],
    notes: [
      `Shares of one processor. ${count(total)} of ${count(counted.requests)} requests were counted.`,
      verdict(more <= 0.03, `Counting costs ${share(Math.max(0, more))}, at most 3 %`),
    ],
  };
}

function share(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
