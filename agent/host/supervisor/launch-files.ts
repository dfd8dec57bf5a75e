import { existsSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { effect } from "../../effects.ts";
import type { Address } from "../net/address.ts";

/** What the launcher reads: how to become the program. Its environment holds the app's secrets. */
export interface LaunchFile {
  argv: string[];
  env: Record<string, string>;
  directory: string;
  umask: number;
  /** A socket that a killed predecessor may have left. It is removed before the start. */
  socket?: string;
  /** The web instance before this one. What was left of this one serves until that one listens again. */
  after?: { instance: string; address: Address };
}

export function encodeLaunchFile(launch: LaunchFile): string {
  return `${JSON.stringify(launch)}\n`;
}

/**
 * Replaces a launch file. Only its owner and one group can read it (mode 0640), from before its first byte on. Its directory
 * is root's, so nobody can put anything in its place.
 */
export async function writeLaunchFile(path: string, launch: LaunchFile, gid: number | undefined): Promise<void> {
  await rm(path, { force: true });
  const file = await effect("launch.create", () => open(path, "wx", 0o600), path);
  try {
    if (gid !== undefined) await file.chown(0, gid);
    await file.chmod(0o640);
    await effect("launch.write", () => file.writeFile(encodeLaunchFile(launch)), path);
    await effect("launch.sync", () => file.sync(), path);
  } finally {
    await file.close();
  }
}

/** The launcher's file: next to the built program, or agent/launch.ts in the sources. */
export function launcherFile(): string {
  const built = fileURLToPath(new URL("./launch.mjs", import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL("../../launch.ts", import.meta.url));
}
