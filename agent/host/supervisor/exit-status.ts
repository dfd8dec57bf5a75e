import { CutoverError } from "../../../shared/errors.ts";
import type { ProcessInfo, Supervisor } from "./supervisor.ts";

/** How a program ended, which supervisor keeps for those alone that had started well: of the others only its log says it. */

/** `2026-11-27 04:22:05,123 WARN exited: web-0 (exit status 3; not expected)` */
const exitedLine = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ exited: (\S+) \((.+); (?:not )?expected\)$/;
const tailBytes = 16_384;

/** @returns `exit code 3`, or `killed by SIGKILL`; undefined if it is not known */
export async function howEnded(supervisor: Supervisor, info: ProcessInfo): Promise<string | undefined> {
  const { statename, exitstatus } = info;
  if (statename === "EXITED" && exitstatus >= 0) return `exit code ${exitstatus}`;
  if (statename !== "EXITED" && !(statename === "BACKOFF" && /^Exited too quickly/.test(info.spawnerr)))
    return undefined;
  return endOf(await logOf(supervisor), info);
}

/** supervisor may have been told to keep no log. What it was asked first is answered all the same. */
async function logOf(supervisor: Supervisor): Promise<string> {
  return supervisor.mainLog(tailBytes).catch((error: unknown) => {
    if (error instanceof CutoverError) return "";
    throw error;
  });
}

/** The log does not say of which group a program is: if two of a name ended at that time in two ways, neither is known. */
export function endOf(log: string, { name, stop }: Pick<ProcessInfo, "name" | "stop">): string | undefined {
  const ends = log.split("\n").flatMap((line) => {
    const [, at = "", program, how] = exitedLine.exec(line) ?? [];
    // By the time zone of this host, as supervisor writes it; a moment after it has noted the end.
    const late = Date.parse(at.replace(" ", "T")) / 1000 - stop;
    const isIt = program === name && late >= 0 && late <= 1;
    return isIt && how !== undefined ? [how] : [];
  });
  const [how, ...others] = new Set(ends);
  if (how === undefined || others.length > 0) return undefined;
  return how.replace(/^exit status /, "exit code ").replace(/^terminated by /, "killed by ");
}
