import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { print } from "../demo/show.ts";
import { copyShop } from "../fixtures/shop.ts";
import { freePorts } from "../harness/ports.ts";
import { startLoadProcess } from "../load/process.ts";
import type { Summary } from "../load/report.ts";
import { processorOf, untilIdle } from "./machine.ts";
import { Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time } from "./table.ts";

/** The app's visitors for a while, and what the agent took meanwhile. */
interface Side {
  latency: Summary;
  failed: number;
  /** The agent's share of one processor. */
  agent: number;
}

export interface PageFigures {
  rate: number;
  /** Nobody looks at the page. */
  alone: Side;
  /** So many have it open, and get so many changes a second, all together. */
  watched: Side & { watchers: number; parts: number };
  /** It is read again and again, without a pause and without nginx's limit before it. */
  read: Side & { readers: number; pages: number; refused: number };
}

/**
 * What the public page costs the agent and the app's visitors: beside the same visitors, with nobody who looks at it, with many
 * who have it open, and with some who read it as often as they can. Everybody shares this machine.
 */
export async function measurePage({ idleMs, shop: config, page: size }: Sizes): Promise<PageFigures> {
  await using site = await Site.open("shop");
  await copyShop(site.project.path, { version: "v1", config });
  await site.deploy();
  const [port = 0] = await freePorts(1);
  await site.agent.changeAgentSettings({ public_page: { listen: `127.0.0.1:${port}`, apps: ["shop"] } });
  const address = `http://127.0.0.1:${port}/apps/shop`;
  await untilIdle(idleMs);
  const alone = await beside(site, size, async () => undefined);
  const watched = await beside(site, size, (signal) => watch(`${address}/live`, size.watchers, signal));
  const read = await beside(site, size, (signal) => readAgain(address, size.readers, signal));
  return {
    rate: size.rate,
    alone: alone.side,
    watched: { ...watched.side, watchers: size.watchers, parts: watched.done / watched.seconds },
    read: { ...read.side, readers: size.readers, pages: read.done.pages / read.seconds, refused: read.done.refused },
  };
}

async function beside<T>(
  site: Site,
  { rate, quietMs }: Sizes["page"],
  look: (signal: AbortSignal) => Promise<T>,
): Promise<{ side: Side; done: T; seconds: number }> {
  const { pid } = site.agent;
  if (pid === undefined) throw new Error("the agent is gone");
  await using load = await startLoadProcess({ url: site.url, rate, shares: { get: 1 } });
  const ended = new AbortController();
  const [began, spent] = [performance.now(), processorOf(pid)];
  const looking = look(ended.signal);
  await sleep(quietMs);
  const tookMs = performance.now() - began;
  const agent = (processorOf(pid) - spent) / tookMs;
  ended.abort();
  const done = await looking;
  const { kinds, failed } = await load.stop();
  const { latency } = kinds.get;
  print(`  p99 of the app ${time(latency.p99)}, agent ${share(agent)}`);
  return { side: { latency, failed, agent }, done, seconds: tookMs / 1000 };
}

/** @returns the changes that came */
async function watch(address: string, watchers: number, signal: AbortSignal): Promise<number> {
  let parts = 0;
  const streams = Array.from({ length: watchers }, async () => {
    const response = await answerOf(address, { signal });
    if (response.statusCode !== 200) throw new Error(`a watcher got ${response.statusCode}`);
    response.setEncoding("utf8");
    response.on("error", () => undefined);
    response.on("data", (text: string) => {
      parts += text.split("event: part").length - 1;
    });
    await once(response, "close");
  });
  const ends = await Promise.allSettled(streams);
  for (const end of ends) if (end.status === "rejected" && !signal.aborted) throw end.reason;
  return parts;
}

async function readAgain(address: string, readers: number, signal: AbortSignal) {
  const agent = new Agent({ keepAlive: true, maxSockets: readers });
  const done = { pages: 0, refused: 0 };
  const one = async () => {
    while (!signal.aborted) {
      const response = await answerOf(address, { agent });
      await once(response.resume(), "end");
      if (response.statusCode === 200) done.pages++;
      else done.refused++;
    }
  };
  await Promise.all(Array.from({ length: readers }, one));
  agent.destroy();
  return done;
}

function answerOf(address: string, options: { signal?: AbortSignal; agent?: Agent }): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => get(address, options, resolve).on("error", reject));
}

export function pageTable({ rate, alone, watched, read }: PageFigures): Table {
  const row = (name: string, { latency, agent }: Side) => [
    name,
    share(agent),
    time(latency.p50),
    time(latency.p99),
    (latency.p99 / alone.latency.p99).toFixed(1),
  ];
  const failed = alone.failed + watched.failed + read.failed;
  return {
    title: `The public page, beside ${count(rate)} requests a second to the app`,
    head: ["", "agent", "app's p50", "app's p99", "p99 to that of nobody"],
    rows: [
      row("nobody looks at it", alone),
      row(`${count(watched.watchers)} have it open`, watched),
      row(`${count(read.readers)} read it without a pause`, read),
    ],
    notes: [
      `Agent: its share of one processor. ${count(failed)} of the app's requests failed.`,
      `Who had it open got ${count(Math.round(watched.parts))} changes a second, all together;`,
      `without a pause ${count(Math.round(read.pages))} pages a second were read, ${count(read.refused)} were refused.`,
    ],
  };
}

function share(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
