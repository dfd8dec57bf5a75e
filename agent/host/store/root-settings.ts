import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Apps } from "../../contracts/ports.ts";
import type { AppSettings } from "../../settings.ts";

/** The apps' settings as root reads them: only if nobody but root can have written them. */
export class RootApps implements Apps {
  readonly #apps: Apps;

  constructor(apps: Apps) {
    this.#apps = apps;
  }

  names(): Promise<string[]> {
    return this.#apps.names();
  }

  async settings(app: string): Promise<AppSettings> {
    const settings = await this.#apps.settings(app);
    await assertRootOwned(settings.file);
    return settings;
  }
}

/**
 * Checks that a file and its directory are root's and writable for root alone. No error if they do not exist.
 * @throws CutoverError host_settings_invalid
 */
export async function assertRootOwned(file: string): Promise<void> {
  for (const path of [dirname(file), file]) {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || (found.uid === 0 && (found.mode & 0o022) === 0)) continue;
    throw new CutoverError("host_settings_invalid", `${path} can be changed by users other than root.`, {
      unchanged: "Nothing was changed.",
      fix: `Check what is in it, then run \`chown root ${path} && chmod go-w ${path}\`.`,
    });
  }
}
