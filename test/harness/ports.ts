import { createServer, type Server } from "node:net";

/**
 * Below what the kernel gives to clients (32768 and up): a port of those may belong to some connection by the time that
 * nginx or an agent wants to listen on it, also when it starts again.
 */
const lowest = 12_000;
/**
 * A process hands out ports of blocks that are its own while it lives. Without them two test runs could get the same port:
 * most are not listened on until much later, such as those of an app's second run.
 */
const blockSize = 250;
const blocks = 80;
const attempts = 1000;

/** What marks this process's blocks as taken. */
const marks: Server[] = [];
let next = 0;
let end = 0;
let turn: Promise<unknown> = Promise.resolve();

/** Ports of 127.0.0.1 that nobody listens on, all different, and different from all that were handed out before. */
export async function freePorts(wanted: number): Promise<number[]> {
  return inTurn(async () => {
    const ports: number[] = [];
    while (ports.length < wanted) ports.push(await freeRow(1));
    return ports;
  });
}

/** So many free ports in a row, as `ports` of an app's settings takes them. */
export async function freePortRange(wanted: number): Promise<string> {
  const first = await inTurn(() => freeRow(wanted));
  return `${first}-${first + wanted - 1}`;
}

/** @returns the first of so many free ports in a row */
async function freeRow(wanted: number): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (next + wanted > end) await takeBlock();
    const first = next;
    const row = Array.from({ length: wanted }, (_, index) => first + index);
    const taken = (await Promise.all(row.map(isFree))).lastIndexOf(false);
    next += taken === -1 ? wanted : taken + 1;
    if (taken === -1) return first;
  }
  throw new Error(`found no ${wanted} free ports in a row`);
}

/** Blocks are never given back before the process ends: what it started may listen there until then. */
async function takeBlock(): Promise<void> {
  const start = Math.floor(Math.random() * blocks);
  for (let index = 0; index < blocks; index++) {
    const block = (start + index) % blocks;
    // In the abstract namespace, which has the same borders as the ports, and forgets a name when its process ends.
    const mark = await listen({ path: `\0cutover-test-ports-${block}` }).catch(() => undefined);
    if (mark === undefined) continue;
    marks.push(mark.unref());
    next = lowest + block * blockSize;
    end = next + blockSize;
    return;
  }
  throw new Error("other test runs on this machine hold all ports");
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen({ port, host: "127.0.0.1" }).catch(() => undefined);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function listen(where: { port: number; host: string } | { path: string }): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(where, () => resolve(server));
  });
}

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work);
  turn = result.catch(() => undefined);
  return result;
}
