import type { HealthAnswer, HealthRequest, Ports } from "../../contracts/ports.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";

/**
 * Asks an instance for its health. On a port another user's process might answer, so before each question the app's own must
 * listen there; then no other user can.
 * @throws CutoverError port_taken
 */
export async function probeInstance(
  ports: Pick<Ports, "privileged" | "probe">,
  spec: RunSpec,
  instance: Instance,
  request: HealthRequest,
): Promise<HealthAnswer> {
  if (spec.config.server.bind === "port" && !(await ports.privileged.listening(spec)).includes(instance.address)) {
    return { kind: "unreachable", reason: `nothing listens on ${instance.address}`, how: "absent" };
  }
  return ports.probe.check(instance, request);
}
