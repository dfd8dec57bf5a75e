import { CutoverError } from "../../../shared/errors.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { DeployContext } from "../context.ts";

/**
 * Instances on ports that listen to more than this host: whoever reaches the port passes nginx by, with its TLS, its limits and
 * maintenance. Known only when they run, since any server may take `{port}` alone and choose the address itself.
 * @throws CutoverError listen_not_allowed if the host's owner refuses them
 */
export async function assertInside(context: DeployContext, spec: RunSpec): Promise<void> {
  const { ports, settings, deployment } = context;
  const instances = await ports.privileged.instances(spec);
  const outside = await ports.connections.outside(instances.map(({ address }) => address));
  const found = instances.flatMap(({ name, address }) => {
    const listener = outside.get(address);
    return listener === undefined ? [] : [`${name} on ${listener}`];
  });
  if (found.length === 0) return;
  const what = `listens to the network and not only to this host: ${found.join(", ")}`;
  const fix =
    "Have the server listen on 127.0.0.1 (as in `--address 127.0.0.1 --port {port}`), or on its socket with `bind: socket`.";
  if (settings.listen_outside === "refuse") {
    throw new CutoverError("listen_not_allowed", `${spec.app} ${what}.`, {
      unchanged: "No visitor was sent to it.",
      fix: `${fix} ${settings.file} has \`listen_outside: refuse\`.`,
    });
  }
  deployment.notice(`${spec.app} ${what}. Others can reach it there past nginx. ${fix}`);
}
