import { posix } from "node:path";
import prettyMilliseconds from "pretty-ms";
import type { Config } from "../../shared/config.ts";
import { milliseconds } from "../../shared/duration.ts";
import { CutoverError } from "../../shared/errors.ts";
import { type Project, type ProjectFault, projectFaults } from "../../shared/project.ts";
import { waitLimits } from "../../shared/timeouts.ts";
import { yamlRefusal } from "../../shared/yaml-file.ts";
import type { Job } from "../job.ts";
import { scanProject } from "./project-scan.ts";
import { checkServerApp } from "./server-app.ts";
import type { Warning } from "./warning.ts";

/**
 * All that `cutover check` says, before anything is built or sent: faults stop the job, warnings become annotations.
 * @param meanwhile reads the project's files, while Python gets ready to read its code
 * @throws CutoverError runner_unsupported, server_app_not_found, config_invalid
 */
export async function checkProject<T extends { source: string; sha256: string }>(
  job: Job,
  meanwhile: () => T[],
): Promise<T[]> {
  const { config, directory, inputs, at } = job;
  checkRunner(job);
  checkServerApp(config, directory);
  const scanning = scanProject(directory, config.env.DJANGO_SETTINGS_MODULE);
  const read = meanwhile();
  const { files, again, kept } = await scanning(read);
  const faults = await faultsOf(config, files, again);
  const placed = faults
    .map((fault) => ({ ...at(fault.path), severity: fault.severity, message: worded(fault) }))
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
  const errors = placed.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw nothingSent(yamlRefusal("config_invalid", inputs.config, errors));
  warnOf(job, [...placed, ...ownSharedDirectories(job), ...shortJob(job)]);
  await kept;
  return read;
}

/** What earlier jobs found comes from a cache that others may write: it may give a wrong hint, and must stop nothing. */
async function faultsOf(config: Config, files: Project, again?: () => Promise<Project>): Promise<ProjectFault[]> {
  if (again === undefined) return projectFaults(config, files);
  try {
    const faults = projectFaults(config, files);
    if (faults.every(({ severity }) => severity === "warning")) return faults;
  } catch {
    // Without them it is as it is.
  }
  return projectFaults(config, await again());
}

function worded({ path, message }: ProjectFault): string {
  return `${path.join(".")}: ${message}`;
}

function nothingSent({ code, message, fix }: CutoverError): CutoverError {
  return new CutoverError(code, message, { unchanged: "Nothing was sent.", ...(fix !== undefined && { fix }) });
}

/** What is linked is a file of each host: rows that a visitor wrote on one are not on the other. */
function ownSharedDirectories({ config, inputs, at }: Job): Warning[] {
  if (inputs.hosts.length < 2) return [];
  return config.shared.flatMap(({ path }, index) => {
    if (path === undefined) return [];
    const message = `shared.${index}.path: each of the ${inputs.hosts.length} hosts has a ${path} of its own; with several hosts use a database server, and a network file system or an object store for uploads`;
    return [{ ...at(["shared", index, "path"]), message }];
  });
}

/** A job that ends before its deploy has ended undoes it, although nothing is wrong. */
function shortJob({ config, inputs, at }: Job): Warning[] {
  const short = waitLimits(config).find(({ limit }) => milliseconds(limit) >= inputs.timeoutMs);
  if (short === undefined) return [];
  const message = `${short.path.join(".")} is ${short.limit}, and the input timeout ends the job after ${prettyMilliseconds(inputs.timeoutMs)}: write a longer \`timeout\` below \`with:\``;
  return [{ ...at(short.path), message }];
}

/** Shows warnings next to the lines that they are about. */
export function warnOf({ inputs, effects }: Pick<Job, "inputs" | "effects">, warnings: Warning[]): void {
  for (const { message, file = inputs.config, line, column } of warnings) {
    const place = posix.normalize(posix.join(inputs.workingDirectory, file));
    effects.log.warn(message, {
      file: place,
      ...(line !== undefined && { line }),
      ...(column !== undefined && { column }),
    });
  }
}

/** Wheels, file modes and the case of names would be those of another system. @throws CutoverError runner_unsupported */
export function checkRunner({ effects }: Job): void {
  if (effects.platform === "linux") return;
  throw new CutoverError("runner_unsupported", `This job runs on ${effects.platform}, and the hosts run Linux.`, {
    unchanged: "Nothing was sent.",
    fix: "Write `runs-on: ubuntu-latest` for this job in the workflow. The commands activate, redeploy and rollback run anywhere.",
  });
}
