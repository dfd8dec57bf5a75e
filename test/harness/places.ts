import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const repository = fileURLToPath(new URL("../..", import.meta.url));

export const actionFile = join(repository, "action.yml");
export const agentProgram = join(repository, "agent/dist/cutover-agent.mjs");
export const helperProgram = join(repository, "agent/dist/cutover-helper.mjs");
export const cutoverProgram = join(repository, "agent/dist/cutover.mjs");

const cache = join(repository, "test/.cache");

/** Debian's own programs first: another python3 earlier in PATH would know no Debian package. */
export const systemPath = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin";

/** Node 24, whatever node runs first in PATH. */
export const node = process.execPath;

/** Variables with which pip finds Django and gunicorn without an index. Makes the wheels if the set-up has not. */
export function offlinePip(): Promise<Record<string, string>> {
  return offlineWheels("wheels", ["Django", "gunicorn"]);
}

/**
 * Variables with which pip finds these distributions, and what they need, without an index.
 * @param folder where the wheels are kept from one run to the next
 * @param names of distributions that Debian's packages installed, without compiled parts
 */
export async function offlineWheels(folder: string, names: string[]): Promise<Record<string, string>> {
  const wheels = join(cache, folder);
  if (!existsSync(join(wheels, "complete"))) {
    const script = join(repository, "test/wheels.py");
    await promisify(execFile)("/usr/bin/python3", [script, wheels, ...names]);
  }
  return { PIP_NO_INDEX: "1", PIP_FIND_LINKS: wheels };
}
