import { readFile, realpath } from "node:fs/promises";
import type { MountFacts } from "./facts.ts";

/** The mount on which a path is that exists; undefined where the kernel does not say. */
export async function mountOf(path: string): Promise<MountFacts | undefined> {
  const table = await readFile("/proc/self/mounts", "utf8").catch(() => "");
  return deepestMount(table, await realpath(path).catch(() => path));
}

/** Of several mounts at one place the last one counts. @param table as /proc/self/mounts has it */
export function deepestMount(table: string, path: string): MountFacts | undefined {
  let found: MountFacts | undefined;
  for (const line of table.split("\n")) {
    const [, escaped, , options] = line.split(" ");
    if (escaped === undefined || options === undefined) continue;
    const at = escaped.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    const above = at === "/" || path === at || path.startsWith(`${at}/`);
    if (above && at.length >= (found?.at.length ?? 0)) found = { at, options: options.split(",") };
  }
  return found;
}
