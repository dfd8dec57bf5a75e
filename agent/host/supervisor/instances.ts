import type { Config } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Instance } from "../../contracts/privileged.ts";
import { portAddress, socketAddress } from "../net/address.ts";
import type { AppLayout } from "../store/layout.ts";

/** The kernel's limit for the path of a unix socket, in bytes without the final NUL. */
export const socketPathBytes = 107;

/** `web-0`, `web-1`, ...: the names of a release's instances. */
export function instanceNames(config: Config): string[] {
  return Array.from({ length: config.server.instances }, (_, index) => `web-${index}`);
}

/** The instances of a run, and where they listen. @param ports one for each instance, if the configuration says `bind: port` */
export function runInstances(layout: AppLayout, run: string, config: Config, ports: number[] = []): Instance[] {
  const protocol = protocolOf(config.server);
  return instanceNames(config).map((name, index) => {
    const port = config.server.bind === "port" ? ports[index] : undefined;
    const address = port === undefined ? socketAddress(`${layout.runDir(run)}/${name}.sock`) : portAddress(port);
    return { name, address, protocol };
  });
}

/** @throws CutoverError socket_path_too_long */
export function checkSocketPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length <= socketPathBytes) return;
  throw new CutoverError(
    "socket_path_too_long",
    `A unix socket's path has at most ${socketPathBytes} bytes, and this one would have ${length}: ${path}`,
    {
      unchanged: "Nothing was changed.",
      fix: `Give the app a shorter name, or let \`data\` in agent.yml be a path at least ${length - socketPathBytes} bytes shorter.`,
    },
  );
}
