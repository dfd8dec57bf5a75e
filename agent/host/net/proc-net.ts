import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Connections } from "../../contracts/ports.ts";
import { parseAddress } from "./address.ts";

/** Socket states in /proc/net/unix: accepted, and connected but still in the backlog of the listener. */
const open = new Set(["03", "02"]);

/**
 * Counts connections by the path of their listener. A line of the table is
 * `Num: RefCount Protocol Flags Type St Inode Path`. The client's end of a connection has no path.
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

/** Those of these paths on which somebody listens: a line with the flag of a listener (`__SO_ACCEPTCON`). */
export function unixListeners(table: string, sockets: string[]): Set<string> {
  const wanted = new Set(sockets);
  const paths = [...table.matchAll(/^\S+ \S+ \S+ 0001\d{4} \S+ \S+ +\d+ (.+)$/gm)].map(([, path = ""]) => path);
  return new Set(paths.filter((path) => wanted.has(path)));
}

export interface TcpSocket {
  /** The address of this end as the kernel writes it: hex, each word in the machine's byte order. */
  address: string;
  port: number;
  /** Two hex digits, such as 0A for a listener. */
  state: string;
  /** Bytes that the other end has not confirmed. */
  unsent: number;
  /** Of a listener: connections that no process has accepted yet. */
  waiting: number;
  /** The user who made it. In another user namespace than the host's the kernel shows only those that it knows there. */
  uid: number;
  /** By which /proc/<pid>/fd names it. */
  inode: number;
}

/**
 * Parses /proc/net/tcp and tcp6: `sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode ...`. Closed connections (06, TIME_WAIT)
 * are left out: no process holds them, and behind a proxy there are tens of thousands.
 */
export function parseTcpTable(table: string): TcpSocket[] {
  const line =
    /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ (?!06)([0-9A-F]{2}) ([0-9A-F]+):([0-9A-F]+) +\S+ +\S+ +(\d+) +\d+ +(\d+)/gm;
  return [...table.matchAll(line)].map(
    ([, address = "", port = "", state = "", unsent = "", waiting = "", uid = "", inode = ""]) => ({
      address,
      port: Number.parseInt(port, 16),
      state,
      unsent: Number.parseInt(unsent, 16),
      waiting: Number.parseInt(waiting, 16),
      uid: Number(uid),
      inode: Number(inode),
    }),
  );
}

/** All TCP sockets of this machine. A protocol that the machine does not have gives none. */
export async function tcpSockets(): Promise<TcpSocket[]> {
  const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map((file) => socketsIn(file).catch(() => []));
  return (await Promise.all(tables)).flat();
}

/** Reads in pieces: with many connections a table has megabytes. */
async function socketsIn(file: string): Promise<TcpSocket[]> {
  const found: TcpSocket[] = [];
  let rest = "";
  for await (const piece of createReadStream(file, "latin1")) {
    const text = rest + piece;
    const whole = text.lastIndexOf("\n") + 1;
    found.push(...parseTcpTable(text.slice(0, whole)));
    rest = text.slice(whole);
  }
  return found;
}

/** 127.0.0.1, and how a listener on [::] sees it. */
const loopback = new Set(["0100007F", "0000000000000000FFFF00000100007F"]);

export const tcpStates = { listen: "0A", established: "01", synReceived: "03", finWait1: "04", closeWait: "08" };

/**
 * Counts connections by the port of their listener. Only the listener's end has that port as its own. One that waits in the
 * backlog counts too. In `synReceived` the backlog is full, and the client believes that it is connected.
 */
export function countTcpConnections(sockets: TcpSocket[], ports: number[]): Map<number, number> {
  const counts = new Map(ports.map((port) => [port, 0]));
  const { established, closeWait, synReceived, finWait1 } = tcpStates;
  for (const { address, port, state, unsent } of sockets) {
    const count = counts.get(port);
    if (count === undefined || !loopback.has(address)) continue;
    const isOpen = state === established || state === closeWait || state === synReceived;
    if (isOpen || (state === finWait1 && unsent > 0)) counts.set(port, count + 1);
  }
  return counts;
}

/** Whether connections to this listener wait for a process to accept them. */
export async function hasBacklog(address: string): Promise<boolean> {
  const place = parseAddress(address);
  if ("port" in place) {
    const { listen } = tcpStates;
    return (await tcpSockets()).some(
      ({ port, state, waiting }) => port === place.port && state === listen && waiting > 0,
    );
  }
  const lines = (await unixTable()).split("\n");
  return lines.some((line) => line.endsWith(` ${place.socket}`) && /^\S+ \S+ \S+ \S+ \S+ 02 /.test(line));
}

/** Those that listen to more than this host: not on 127.0.0.0/8 and not on ::1. */
export function outsideListeners(sockets: TcpSocket[]): TcpSocket[] {
  const inside = /^(?:[0-9A-F]{6}7F|0000000000000000FFFF0000[0-9A-F]{6}7F|0{24}01000000)$/;
  return sockets.filter(({ state, address }) => state === tcpStates.listen && !inside.test(address));
}

/** As `ss` shows it: `0.0.0.0:9000`, `[::]:9000`. */
export function listenerText({ address, port }: TcpSocket): string {
  // Each word is in the order of a little-endian machine.
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).toReversed());
  if (bytes.length === 4) return `${bytes.map((byte) => Number.parseInt(byte, 16)).join(".")}:${port}`;
  const groups = (bytes.join("").match(/.{4}/g) ?? []).join(":");
  return `${new URL(`http://[${groups}]`).hostname}:${port}`;
}

/** Counts in the kernel's own tables, which do not depend on what a process says about itself. */
export class ProcNetConnections implements Connections {
  async count(addresses: string[]): Promise<Map<string, number>> {
    const { sockets, ports } = placesOf(addresses);
    const bySocket = sockets.length === 0 ? undefined : countConnections(await unixTable(), sockets);
    const byPort = ports.length === 0 ? undefined : countTcpConnections(await tcpSockets(), ports);
    return new Map(
      addresses.map((address) => {
        const place = parseAddress(address);
        const count = "socket" in place ? bySocket?.get(place.socket) : byPort?.get(place.port);
        return [address, count ?? 0];
      }),
    );
  }

  async listening(addresses: string[]): Promise<Set<string>> {
    const { sockets, ports } = placesOf(addresses);
    const paths = sockets.length === 0 ? undefined : unixListeners(await unixTable(), sockets);
    const listeners = ports.length === 0 ? [] : (await tcpSockets()).filter(({ state }) => state === tcpStates.listen);
    const open = new Set(listeners.map(({ port }) => port));
    const isOpen = (address: string) => {
      const place = parseAddress(address);
      return "socket" in place ? paths?.has(place.socket) === true : open.has(place.port);
    };
    return new Set(addresses.filter(isOpen));
  }

  async outside(addresses: string[]): Promise<Map<string, string>> {
    const { ports } = placesOf(addresses);
    const listeners = ports.length === 0 ? [] : outsideListeners(await tcpSockets());
    return new Map(
      addresses.flatMap((address) => {
        const place = parseAddress(address);
        const found = "port" in place && listeners.find(({ port }) => port === place.port);
        return found ? [[address, listenerText(found)] as const] : [];
      }),
    );
  }
}

/** The paths of sockets among these addresses, and the ports. */
function placesOf(addresses: string[]): { sockets: string[]; ports: number[] } {
  const sockets: string[] = [];
  const ports: number[] = [];
  for (const place of addresses.map(parseAddress)) {
    if ("socket" in place) sockets.push(place.socket);
    else ports.push(place.port);
  }
  return { sockets, ports };
}

function unixTable(): Promise<string> {
  return readFile("/proc/net/unix", "utf8");
}
