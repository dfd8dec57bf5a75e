import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runTool } from "../../host/exec/run-tool.ts";
import type { Entry, Identity } from "../permissions.ts";
import type { Way } from "./facts.ts";

export async function entryOf(path: string): Promise<Entry | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && { path, mode: found.mode, uid: found.uid, gid: found.gid };
}

/** Each directory on the way to a path, as the kernel walks it, and on the way to the target of a symlink. */
export async function wayTo(path: string): Promise<Way> {
  const real = await realpath(path).catch(() => path);
  const entries: Entry[] = [];
  for (const each of [...parents(path), ...(real === path ? [] : parents(real))]) {
    const entry = await entryOf(each);
    if (entry === undefined) break;
    entries.push(entry);
  }
  return { to: path, entries };
}

function parents(path: string): string[] {
  return path === dirname(path) ? [path] : [...parents(dirname(path)), path];
}

/** The names in a directory; undefined if it does not exist or may not be read. */
export async function namesIn(directory: string): Promise<string[] | undefined> {
  return readdir(directory).catch(() => undefined);
}

export async function socketsBelow(runs: string): Promise<string[]> {
  const found: string[] = [];
  for (const run of (await namesIn(runs)) ?? []) {
    for (const name of (await namesIn(join(runs, run))) ?? [])
      if (name.endsWith(".sock")) found.push(join(runs, run, name));
  }
  return found;
}

/** A user of the host, with all its groups; undefined if there is none of this name. */
export async function identityOf(name: string): Promise<Identity | undefined> {
  const [uid, gids] = await Promise.all([idOf("-u", name), idOf("-G", name)]);
  return uid === undefined || gids === undefined ? undefined : { name, uid: uid[0] ?? -1, gids };
}

async function idOf(option: "-u" | "-G", name: string): Promise<number[] | undefined> {
  const { code, stdout } = await runTool("id", [option, "--", name]);
  return code === 0 ? stdout.trim().split(/\s+/).map(Number) : undefined;
}
