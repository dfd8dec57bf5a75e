import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";

/**
 * Gives the instances of a run the full share of the processor. A failure is logged and fails nothing: visitors are better off
 * with a slow release than with none.
 * @returns whether the host could be asked
 */
export async function giveFullShare(
  { privileged }: Ports,
  { app, run }: Pick<RunSpec, "app" | "run">,
  log: Pick<Logger, "warn"> | undefined,
): Promise<boolean> {
  try {
    await privileged.fullShare(app, run);
    return true;
  } catch (err) {
    log?.warn({ err, app, run }, "instances could not be given the full share of the processor; this is tried again");
    return false;
  }
}
