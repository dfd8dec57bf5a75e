import { type AddressInfo, createServer, type Server } from "node:net";

/** Ports of 127.0.0.1 that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  // All are held until the last is known, since the kernel may give one that was let go again.
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await close(servers);
  return ports;
}

/** So many free ports in a row, as `ports` of an app's settings takes them; below those that the kernel gives to clients. */
export async function freePortRange(count: number): Promise<string> {
  for (;;) {
    const first = 12_000 + Math.floor(Math.random() * 20_000);
    const all = await Promise.allSettled(Array.from({ length: count }, (_, index) => listen(first + index)));
    await close(all.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])));
    if (all.every(({ status }) => status === "fulfilled")) return `${first}-${first + count - 1}`;
  }
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
