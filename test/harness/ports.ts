import { type AddressInfo, createServer, type Server } from "node:net";

/**
 * Below what the kernel gives to clients (32768 and up): a port of those may belong to some connection by the time that
 * nginx or an agent wants to listen on it, also when it starts again.
 */
const lowest = 12_000;
const count = 20_000;
const attempts = 1000;

/** Ports of 127.0.0.1 that nobody listens on, all different. */
export async function freePorts(wanted: number): Promise<number[]> {
  const servers: Server[] = [];
  try {
    for (let attempt = 0; servers.length < wanted; attempt++) {
      if (attempt === attempts) throw new Error(`found only ${servers.length} free ports of ${wanted}`);
      // Held until the last is known, so that none is found twice.
      const server = await listen(somePort()).catch(() => undefined);
      if (server !== undefined) servers.push(server);
    }
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await close(servers);
  }
}

/** So many free ports in a row, as `ports` of an app's settings takes them. */
export async function freePortRange(wanted: number): Promise<string> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const first = somePort();
    const all = await Promise.allSettled(Array.from({ length: wanted }, (_, index) => listen(first + index)));
    await close(all.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])));
    if (all.every(({ status }) => status === "fulfilled")) return `${first}-${first + wanted - 1}`;
  }
  throw new Error(`found no ${wanted} free ports in a row`);
}

function somePort(): number {
  return lowest + Math.floor(Math.random() * count);
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

async function close(servers: Server[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
}
