import type { Config } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { milliseconds } from "../../../shared/duration.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { DeployContext } from "../context.ts";

const drainPollMs = 50;

export interface Drained {
  /** Requests that are still open. */
  open: number;
  /** Requests that were open at the beginning and have ended by themselves. */
  ended: number;
  /** false: nginx workers from before a reload still run, and may hold an upload for the run. */
  settled: boolean;
}

/**
 * Waits until the last connection of a run that has lost its traffic is gone, or its limit is reached. Connections are counted,
 * not guessed.
 * @param to the configuration of the run that has the traffic now
 */
export async function drainRun(
  { ports, stopping }: Pick<DeployContext, "ports" | "stopping">,
  spec: RunSpec,
  to: Config,
): Promise<Drained> {
  const addresses = (await ports.privileged.instances(spec)).map(({ address }) => address);
  const how = { ports: needsReload(spec.config, to) };
  const deadline = ports.clock.elapsed() + milliseconds(spec.config.drain.timeout);
  let quiet = 0;
  let first: number | undefined;
  for (;;) {
    const settled = await ports.traffic.settled(spec.app, how);
    const open = await countOpen(ports, addresses);
    first ??= open;
    // Twice in a row: a worker that had looked up the old slot just before the rename connects within microseconds.
    quiet = open === 0 && settled ? quiet + 1 : 0;
    if (quiet === 2 || ports.clock.elapsed() >= deadline) {
      return { open, settled, ended: Math.max(first - open, 0) };
    }
    await ports.clock.sleep(drainPollMs, stopping);
  }
}

/** Connections that are open to these addresses, which are requests: nginx keeps none open between two of them. */
export async function countOpen({ connections }: Pick<Ports, "connections">, addresses: string[]): Promise<number> {
  let open = 0;
  for (const count of (await connections.count(addresses)).values()) open += count;
  return open;
}

/** Whether traffic moves between these two only by a reload of nginx, whose old workers then go on for a while. */
function needsReload(from: Config, to: Config): boolean {
  return [from, to].some(({ server }) => server.bind === "port") || protocolOf(from.server) !== protocolOf(to.server);
}
