import { CutoverError } from "../../../shared/errors.ts";
import type { Instance } from "../../contracts/privileged.ts";
import { parseAddress } from "./address.ts";
import { type TcpSocket, tcpStates } from "./proc-net.ts";

/** Listeners that get, or could take, connections to 127.0.0.1: on it, on all addresses, and the same of IPv6. */
const reached = new Set([
  ...["0100007F", "00000000"],
  ...["0000000000000000FFFF00000100007F", "0000000000000000FFFF000000000000", "00000000000000000000000000000000"],
]);

/**
 * The addresses of instances on which a process of their user listens. Every user of a host may listen on a free port, and
 * would get the visitors of the app.
 * @param uid of the app's user
 * @throws CutoverError port_taken if a process of another user listens on one of the ports, even if one of the app's does too
 */
export function ownListeners(instances: Instance[], sockets: TcpSocket[], uid: number): string[] {
  return instances.flatMap(({ name, address }) => {
    const place = parseAddress(address);
    if ("socket" in place) return [];
    const here = sockets.filter(
      (socket) => socket.port === place.port && socket.state === tcpStates.listen && reached.has(socket.address),
    );
    const other = here.find((socket) => socket.uid !== uid);
    if (other !== undefined) throw taken(name, place.port, other.uid);
    return here.length === 0 ? [] : [address];
  });
}

function taken(instance: string, port: number, uid: number): CutoverError {
  return new CutoverError(
    "port_taken",
    `A process of user ${uid} listens on port ${port}, which belongs to ${instance}.`,
    {
      unchanged: "No visitor was sent to it.",
      fix: `Find it with \`ss -ltnp 'sport = :${port}'\` and end it, or use \`bind: socket\`, which no other user can take. Then deploy again.`,
    },
  );
}
