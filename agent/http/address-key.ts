import { isIPv6 } from "node:net";

/**
 * By what callers are counted: their address, of IPv6 the /64, since whoever has one has all of it. undefined for callers of
 * this host itself, which are not counted: a unix socket, a test, or the proxy that passes all others on.
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
