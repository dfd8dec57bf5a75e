import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import type { TcpSocket } from "./proc-net.ts";

const listening = "0A";
const anywhere = new Set(["00000000", "00000000000000000000000000000000"]);

/** The addresses on which something listens already, so that nginx could not. */
export function takenAddresses(addresses: ListenAddress[], sockets: TcpSocket[]): ListenAddress[] {
  const listeners = sockets.filter(({ state }) => state === listening);
  return addresses.filter((address) => {
    const wanted = kernelAddress(address);
    return listeners.some(
      ({ address: theirs, port }) =>
        port === portOf(address) &&
        (wanted === undefined || theirs === wanted || anywhere.has(theirs) || anywhere.has(wanted)),
    );
  });
}

/** The ports on which the servers of an nginx configuration listen. */
export function listenedPorts(configuration: string): Set<number> {
  const values = [...configuration.matchAll(/^[ \t]*listen[ \t]+([^;\s]+)/gm)].map(([, value = ""]) => value);
  return new Set(
    values.flatMap((value) => {
      if (value.startsWith("unix:")) return [];
      const port = /(?:^|:)(\d+)$/.exec(value)?.[1];
      return [port === undefined ? 80 : Number(port)];
    }),
  );
}

/** An IPv4 address in the notation of the kernel's table on this machine; undefined for one that is not compared. */
function kernelAddress(address: ListenAddress): string | undefined {
  const [host = ""] = String(address).split(" ");
  if (!host.includes(":")) return "00000000";
  const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+):/.exec(host)?.slice(1).map(Number);
  if (parts === undefined) return undefined;
  const word = new Uint32Array(Uint8Array.from(parts).buffer)[0] ?? 0;
  return word.toString(16).toUpperCase().padStart(8, "0");
}
