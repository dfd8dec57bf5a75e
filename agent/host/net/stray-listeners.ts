import { readdir, readlink } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import type { Instance } from "../../contracts/privileged.ts";
import { childrenOf } from "../exec/processes.ts";
import { parseAddress } from "./address.ts";
import { type TcpSocket, tcpSockets, tcpStates } from "./proc-net.ts";

/** No server has more; whoever has is no server that somebody waits for. */
const mostProcesses = 200;
const mostFiles = 2000;
const mostAddresses = 5;

/**
 * Where these processes and their descendants listen by TCP, apart from where they should. For the reason of a failure: what
 * listens on a port of its own does not listen where nginx sends its visitors.
 */
export async function strayListeners(pids: number[], instances: Instance[]): Promise<string[]> {
  const own = new Set(
    instances.flatMap(({ address }) => {
      const place = parseAddress(address);
      return "port" in place ? [place.port] : [];
    }),
  );
  const held = new Set<number>();
  for (const pid of await withDescendants(pids)) for (const inode of await socketsOf(pid)) held.add(inode);
  const listeners = (await tcpSockets()).filter(
    ({ state, inode, port }) => state === tcpStates.listen && held.has(inode) && !own.has(port),
  );
  return [...new Set(listeners.map(shown))].slice(0, mostAddresses);
}

async function withDescendants(pids: number[]): Promise<number[]> {
  const found = [...pids];
  for (let index = 0; index < found.length && found.length < mostProcesses; index++) {
    found.push(...(await childrenOf(found[index] ?? 0)));
  }
  return found.slice(0, mostProcesses);
}

async function socketsOf(pid: number): Promise<number[]> {
  const directory = `/proc/${pid}/fd`;
  const files = await readdir(directory).catch(() => []);
  const targets = files.slice(0, mostFiles).map((file) => readlink(join(directory, file)).catch(() => ""));
  return (await Promise.all(targets)).flatMap((target) => {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    return inode === undefined ? [] : [Number(inode)];
  });
}

/** As people write it: `127.0.0.1:5057`, `[::]:8000`. */
function shown({ address, port }: TcpSocket): string {
  if (address.length === 8) return `${bytesOf(address).join(".")}:${port}`;
  return /^0+$/.test(address) ? `[::]:${port}` : `port ${port}`;
}

/** The kernel writes each word in the machine's byte order. */
function bytesOf(word: string): number[] {
  const bytes = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
  return endianness() === "LE" ? bytes.toReversed() : bytes;
}
