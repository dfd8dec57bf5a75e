import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The launcher's file: beside the built program, or in the sources beside this folder. */
export function launcherFile(): string {
  const built = fileURLToPath(new URL("./launch.mjs", import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL("../../launch.ts", import.meta.url));
}
