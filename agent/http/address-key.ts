import { isIPv6 } from "node:net";

/**
 * The key by which callers are counted: their IPv4 address, or the /64 of their IPv6 address, since a caller usually has all
 * of it. undefined for callers on this host, which are not counted: a unix socket, a test, or a proxy that passes others on.
 */
export function addressKey(remote: string | undefined): string | undefined {
  if (remote === undefined) return undefined;
  const address = remote.replace(/^::ffff:(?=\d+\.)/i, "");
  if (address === "::1" || address.startsWith("127.")) return undefined;
  return isIPv6(address) ? `${prefix(address)}::/64` : address;
}

function prefix(address: string): string {
  const [head = "", tail = ""] = address.replace(/%.*$/, "").split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0");
  const groups = address.includes("::") ? [...before, ...zeros, ...after] : before;
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
