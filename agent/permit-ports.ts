import type { Config } from "../shared/config.ts";
import { CutoverError } from "../shared/errors.ts";
import { type AppSettings, parsePortRange } from "./settings.ts";

/** Live, new, and one that is staged or still warm. */
const runsAtOnce = 3;

/** The ports that the host's owner lets an app's instances listen on, in their order. */
export function allowedPorts({ ports = [] }: Pick<AppSettings, "ports">): number[] {
  const all = [ports].flat().flatMap((range) => {
    const { first, last } = parsePortRange(range);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(all)];
}

/**
 * Asked before anything is unpacked, and again by the side that chooses the ports.
 * @throws CutoverError ports_not_allowed, with the line of the host file that would allow them
 */
export function permitPorts({ server }: Pick<Config, "server">, settings: AppSettings): void {
  if (server.bind !== "port") return;
  const needed = server.instances * runsAtOnce;
  const count = allowedPorts(settings).length;
  if (count >= needed) return;
  const has = count === 0 ? "it allows none" : `it allows ${count}`;
  throw new CutoverError(
    "ports_not_allowed",
    `${settings.app} needs ${needed} ports on the host for ${server.instances} instances, and ${has}: the live release, the new one, and one that is staged or still warm run at the same time.`,
    {
      unchanged: "Nothing was unpacked; the live release goes on serving.",
      fix: `In ${settings.file} on the host, write: ports: "9000-${9000 + Math.max(needed, 100) - 1}" (any range that nothing else uses), or \`bind: socket\` in cutover.yml.`,
    },
  );
}
