import { dirname, join, resolve } from "node:path";
import { matchesGlob } from "./globs.ts";
import type { Ini } from "./ini.ts";

/** Whether supervisord reads a file of ours in this directory. */
export function includesDirectory({ path, ini }: { path: string; ini: Ini }, confDir: string): boolean {
  const patterns = ini.get("include")?.get("files")?.split(/\s+/).filter(Boolean) ?? [];
  return patterns.some((pattern) => matchesGlob(expanded(pattern, path), join(confDir, "cutover-app.conf")));
}

/** A path as supervisord reads it. */
export function expanded(value: string, conf: string): string {
  return resolve(dirname(conf), value.replaceAll("%(here)s", dirname(conf)));
}
