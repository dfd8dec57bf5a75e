import type { Ports } from "../../agent/contracts/ports.ts";

interface Seen {
  /** How many are open, by address. */
  connections: Map<string, number>;
  silent: Set<string>;
  outside: Map<string, string>;
}

/** What the kernel would say of the addresses of instances. */
export function fakeConnections({ connections, silent, outside }: Seen): Ports["connections"] {
  return {
    count: async (sockets) => new Map(sockets.map((path) => [path, connections.get(path) ?? 0])),
    listening: async (sockets) => new Set(sockets.filter((path) => !silent.has(path))),
    outside: async (sockets) => new Map([...outside].filter(([path]) => sockets.includes(path))),
  };
}
