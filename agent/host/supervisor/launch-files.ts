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
  /** It boots with a lower share of the processor, if it starts within `quietMs` of this file's last write. */
  quiet?: boolean;
  /** The web instance before this one. What was left of this one serves until that one listens again. */
  after?: { instance: string; address: Address };
}

export function encodeLaunchFile(launch: LaunchFile): string {
  return `${JSON.stringify(launch)}\n`;
}

/** Who may read a launch file besides root: a group, or one user alone. */
export type LaunchReader = { gid: number } | { uid: number };

/**
 * Replaces a launch file. Only root and its reader can read it (mode 0640, or 0400 for one user), from before its first byte
 * on. Its directory is root's, so nobody can put anything in its place.
 */
export async function writeLaunchFile(
  path: string,
  launch: LaunchFile,
  reader: LaunchReader | undefined,
): Promise<void> {
  await rm(path, { force: true });
  const file = await effect("launch.create", () => open(path, "wx", 0o600), path);
  try {
    if (reader !== undefined) await ("gid" in reader ? file.chown(0, reader.gid) : file.chown(reader.uid, 0));
    await file.chmod(reader !== undefined && "uid" in reader ? 0o400 : 0o640);
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
