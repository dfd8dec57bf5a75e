import { existsSync, readdirSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { completePython } from "../../shared/complete-python.ts";
import { completeServer, describeDetection, kindUnknown } from "../../shared/complete-server.ts";
import { type Config, configSchema, siteOf } from "../../shared/config.ts";
import { portOf } from "../../shared/config-site.ts";
import type { Detection } from "../../shared/detect/detect.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { YamlPath } from "../../shared/yaml-faults.ts";
import { readYaml, yamlRefusal } from "../../shared/yaml-file.ts";
import { projectFiles } from "./project-files.ts";
import { unreadable } from "./unreadable.ts";

/** A checked cutover.yml, and where in it each key is. */
export interface ReadConfig {
  config: Config;
  at(path: YamlPath): { line: number; column: number };
}

/**
 * Reads cutover.yml, and completes what it leaves out about its server and its packages from the project.
 * @param onDetected gets one line about what was completed
 * @throws CutoverError config_not_found, path_not_allowed, config_not_yaml, config_invalid, kind_unknown
 */
export async function readConfig(
  directory: string,
  name: string,
  onDetected: (line: string) => void = () => {},
): Promise<ReadConfig> {
  let text: string;
  try {
    const file = join(directory, name);
    // A link to a device or a pipe would be read without end.
    if (!(await stat(file)).isFile()) throw Object.assign(new Error("it is no file"), { code: "EISDIR" });
    text = await readFile(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw unreadable(name, cause);
    throw notFound(directory, name, cause);
  }
  let detection: Detection | undefined;
  let python: string[] = [];
  const complete = (value: unknown) => {
    const files = projectFiles(directory);
    const completedPython = completePython(value, files);
    python = completedPython.found;
    const completed = completeServer(completedPython.value, files);
    detection = completed.detection;
    return completed.value;
  };
  const read = readYaml(text, configSchema, complete);
  if (read.kind === "good") {
    if (detection?.found) onDetected(describeDetection(detection));
    if (python.length > 0) onDetected(`Found in the project: ${python.join(", ")}.`);
    return { config: read.value, at: read.at };
  }
  // Among other faults, the missing kind is one line of many.
  const alone = read.kind === "invalid" && read.faults.length === 1;
  if (alone && detection?.found === false) throw kindUnknown(name, detection);
  throw yamlRefusal(read.kind === "invalid" ? "config_invalid" : "config_not_yaml", name, read.faults);
}

function notFound(directory: string, name: string, cause: unknown): CutoverError {
  const unchanged = "Nothing was sent.";
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return new CutoverError("config_not_found", `There is no folder ${directory}, so no ${name} in it.`, {
      unchanged,
      fix: "Correct the input working-directory: it counts from the repository's top. See that actions/checkout ran before this step.",
      cause,
    });
  }
  const other = elsewhere(directory, name);
  const there = other === undefined ? "" : ` ${other.file} is there.`;
  return new CutoverError("config_not_found", `There is no ${name} in ${directory}.${there}`, {
    unchanged,
    fix:
      other?.fix ??
      "Check the inputs working-directory and config, and that actions/checkout ran before this step. If the project's files show its server, a file with `app` alone is enough.",
    cause,
  });
}

/** A file that is probably meant: with another ending, or in a folder. */
function elsewhere(directory: string, name: string): { file: string; fix: string } | undefined {
  const entries = readdirSync(directory, { withFileTypes: true });
  const stem = name.replace(/\.ya?ml$/, "");
  const ending = entries.find(
    (entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && entry.name.startsWith(`${stem}.y`),
  );
  if (ending !== undefined) {
    return {
      file: ending.name,
      fix: `Rename it to ${name}, or write \`config: ${ending.name}\` below \`with\` of this step.`,
    };
  }
  const folder = entries.find((entry) => entry.isDirectory() && existsSync(join(directory, entry.name, name)));
  if (folder === undefined) return undefined;
  return {
    file: `${folder.name}/${name}`,
    fix: `If that is the project, write \`working-directory: ${folder.name}\` below \`with\` of this step.`,
  };
}

/** A fault of cutover.yml that shows only when it is compared with the project. */
export function configFault(key: string, message: string, fix: string): CutoverError {
  return new CutoverError("config_invalid", `cutover.yml: ${key}: ${message}`, { unchanged: "Nothing was sent.", fix });
}

/** The site's address for visitors, as far as cutover.yml says it; empty if it names no domain. */
export function siteUrl(config: Config): string {
  const site = siteOf(config);
  const name = site.server_name?.find((each) => /^[a-z0-9]/.test(each));
  if (name === undefined) return "";
  const ports = (site.listen ?? []).map(portOf);
  const port = ports.includes(443) ? 443 : (ports[0] ?? 80);
  if (port === 443) return `https://${name}/`;
  return port === 80 ? `http://${name}/` : `http://${name}:${port}/`;
}
