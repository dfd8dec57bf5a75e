/** Where an instance listens; ports are those of 127.0.0.1. As text it has nginx's notation: `unix:/path` or `127.0.0.1:8001`. */
export type Address = { socket: string } | { port: number };

export function socketAddress(path: string): string {
  return `unix:${path}`;
}

export function portAddress(port: number): string {
  return `127.0.0.1:${port}`;
}

export function parseAddress(address: string): Address {
  if (address.startsWith("unix:")) return { socket: address.slice("unix:".length) };
  return { port: Number(address.slice(address.lastIndexOf(":") + 1)) };
}
