import { access, constants } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";

/**
 * The service's unit shows most of the host read-only. A path of agent.yml outside of what it may write is found here, before
 * anything is changed, and not when the release command has run.
 * @throws CutoverError host_settings_invalid
 */
export async function assertWritable(directories: string[]): Promise<void> {
  for (const directory of directories) {
    const code = await access(directory, constants.W_OK).then(
      () => undefined,
      (thrown: NodeJS.ErrnoException) => thrown.code,
    );
    if (code !== "EROFS") continue;
    throw new CutoverError("host_settings_invalid", `${directory} of agent.yml is read-only for cutover-helper.`, {
      unchanged: "Nothing was changed.",
      fix: "systemd shows it read-only to the helper's unit: `cutover doctor --fix` on the host lets the unit write there.",
    });
  }
}
