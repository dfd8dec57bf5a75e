import { readFile } from "node:fs/promises";
import type { Connections } from "../ports.ts";
import { parseAddress } from "./address.ts";

/** Socket states in /proc/net/unix: accepted, and connected but still in the listener's backlog. */
const open = new Set(["03", "02"]);

/**
 * Counts connections by the path that their listener was bound to. A line is
 * `Num: RefCount Protocol Flags Type St Inode Path`; the client's end of a connection has no path.
 */
export function countConnections(table: string, sockets: string[]): Map<string, number> {
  const counts = new Map(sockets.map((socket) => [socket, 0]));
  for (const line of table.split("\n")) {
    const [, state, path] = /^\S+ \S+ \S+ \S+ \S+ (\S+) +\d+ (.+)$/.exec(line) ?? [];
    if (state === undefined || path === undefined || !open.has(state)) continue;
    const count = counts.get(path);
    if (count !== undefined) counts.set(path, count + 1);
  }
  return counts;
}

/** The kernel's own table: also what a process does not tell about itself. */
export class ProcNetConnections implements Connections {
  async count(addresses: string[]): Promise<Map<string, number>> {
    const sockets = new Map(
      addresses.flatMap((address) => {
        const place = parseAddress(address);
        return "socket" in place ? [[place.socket, address] as const] : [];
      }),
    );
    const counts = countConnections(await readFile("/proc/net/unix", "utf8"), [...sockets.keys()]);
    return new Map([...sockets].map(([socket, address]) => [address, counts.get(socket) ?? 0]));
  }
}
