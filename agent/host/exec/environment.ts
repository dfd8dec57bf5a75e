import { environmentName } from "../../../shared/config-values.ts";
import { envFileFaults, parseEnvFile, type reservedNames } from "../../../shared/env-file.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { readOwnerFile } from "../ownership/owner-file.ts";

export interface EnvironmentParts {
  app: string;
  release: string;
  run: string;
  /** Unset for commands, which belong to no instance. */
  instance?: string;
  venv: string;
  shared: string;
  home: string;
  user: string;
  /** `env` of cutover.yml. */
  config: Record<string, string>;
  /** The host's file of secrets, parsed. */
  secrets: Record<string, string>;
}

/**
 * The whole environment of a run's processes; nothing is inherited. The host's secrets override the values of cutover.yml,
 * and what cutover sets overrides both.
 */
export function runEnvironment(parts: EnvironmentParts): Record<string, string> {
  const own: Record<(typeof reservedNames)[number], string> = {
    PATH: `${parts.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    VIRTUAL_ENV: parts.venv,
    HOME: parts.home,
    USER: parts.user,
    LOGNAME: parts.user,
    PYTHONUNBUFFERED: "1",
  };
  return {
    LANG: "C.UTF-8",
    ...parts.config,
    ...parts.secrets,
    ...own,
    CUTOVER_APP: parts.app,
    CUTOVER_RELEASE: parts.release,
    CUTOVER_RUN: parts.run,
    ...(parts.instance === undefined ? {} : { CUTOVER_INSTANCE: parts.instance }),
    CUTOVER_SHARED: parts.shared,
  };
}

/**
 * The values in an env file of the host; none if the file does not exist, unless the settings name it.
 * @param user the id of the app's user, if that is not the user of this process
 * @throws CutoverError host_settings_invalid, which names the file and never a value
 */
export async function readSecrets(file: string, required: boolean, user?: number): Promise<Record<string, string>> {
  let text: string;
  try {
    text = await readOwnerFile(file, user);
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    if (!required && (cause as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new CutoverError("host_settings_invalid", `The file with the app's environment cannot be read: ${file}.`, {
      unchanged: "Nothing was changed.",
      fix: "Create the file, readable only for the agent (mode 0600), or remove `env_file` from the app's settings.",
      cause,
    });
  }
  const values = parseEnvFile(text);
  for (const [name, value] of Object.entries(values)) {
    if (environmentName.safeParse(name).success && !value.includes("\0")) continue;
    const line = envFileFaults(text)[0]?.line;
    const where = line === undefined ? `${file} has a line` : `Line ${line} of ${file}`;
    const is = line === undefined ? "that is not NAME=value" : "is not NAME=value";
    throw new CutoverError("host_settings_invalid", `${where} ${is}.`, {
      unchanged: "Nothing was changed.",
      fix: "Write one NAME=value on each line. Names have letters, digits and _, and do not start with a digit.",
    });
  }
  return values;
}
