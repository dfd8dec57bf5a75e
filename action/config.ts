import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Config, configSchema, siteOf } from "../shared/config.ts";
import { portOf } from "../shared/config-site.ts";
import { CutoverError } from "../shared/errors.ts";
import { parseYamlFile } from "../shared/yaml-file.ts";

/** @throws CutoverError config_not_found, config_not_yaml, config_invalid */
export async function readConfig(directory: string, name: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(join(directory, name), "utf8");
  } catch (cause) {
    throw new CutoverError("config_not_found", `There is no ${name} in ${directory}.`, {
      unchanged: "Nothing was sent.",
      fix: "Check the inputs working-directory and config, and that actions/checkout ran before this step. The smallest file has `app` and `server`.",
      cause,
    });
  }
  return parseYamlFile(text, name, configSchema, { notYaml: "config_not_yaml", invalid: "config_invalid" });
}

/** A fault of cutover.yml that shows only beside the project. */
export function configFault(key: string, message: string, fix: string): CutoverError {
  return new CutoverError("config_invalid", `cutover.yml: ${key}: ${message}`, { unchanged: "Nothing was sent.", fix });
}

/** Where visitors find the site, as far as cutover.yml says; empty when it names no domain. */
export function siteUrl(config: Config): string {
  const site = siteOf(config);
  const name = site.server_name?.find((each) => /^[a-z0-9]/.test(each));
  if (name === undefined) return "";
  const ports = (site.listen ?? []).map(portOf);
  const port = ports.includes(443) ? 443 : (ports[0] ?? 80);
  if (port === 443) return `https://${name}/`;
  return port === 80 ? `http://${name}/` : `http://${name}:${port}/`;
}
