import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { Identity } from "../permissions.ts";

/** The current soft limit of a process, such as `Max open files`; undefined if it is unlimited or there is no such process. */
export async function limitOf(pid: number, name: string): Promise<number | undefined> {
  const limits = await readFile(`/proc/${pid}/limits`, "utf8").catch(() => "");
  const soft = limits
    .split("\n")
    .find((line) => line.startsWith(name))
    ?.slice(name.length)
    .trim()
    .split(/\s+/)[0];
  return soft === undefined || soft === "unlimited" ? undefined : Number(soft);
}

export async function umaskOf(pid: number): Promise<number | undefined> {
  const umask = (await statusOf(pid, "Umask"))?.[0];
  return umask === undefined ? undefined : Number.parseInt(umask, 8);
}

/** The user and groups with which a process runs. */
export async function identityOfProcess(pid: number, name: string): Promise<Identity | undefined> {
  const [uids, gids, groups] = await Promise.all([statusOf(pid, "Uid"), statusOf(pid, "Gid"), statusOf(pid, "Groups")]);
  if (uids === undefined || gids === undefined) return undefined;
  return { name, uid: Number(uids[1]), gids: [Number(gids[1]), ...(groups ?? []).map(Number)] };
}

async function statusOf(pid: number, field: string): Promise<string[] | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return new RegExp(`^${field}:(.*)$`, "m").exec(status)?.[1]?.trim().split(/\s+/).filter(Boolean);
}

/** The supervisords of this host, each with the configuration that it was started with. Without those in containers. */
export async function supervisords(): Promise<{ pid: number; conf: string | undefined }[]> {
  const own = await readlink("/proc/self/ns/pid").catch(() => "");
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: { pid: number; conf: string | undefined; parent: number }[] = [];
  for (const pid of pids) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").slice(0, -1);
    // supervisord itself, or the Python that runs it.
    const at = words.slice(0, 2).findIndex((word) => basename(word) === "supervisord");
    if (at === -1 || (at === 1 && !/^python/.test(basename(words[0] ?? "")))) continue;
    if ((await readlink(`/proc/${pid}/ns/pid`).catch(() => own)) !== own) continue;
    const parent = Number((await statusOf(pid, "PPid"))?.[0]);
    found.push({ pid, conf: await confOf(pid, words.slice(at + 1)), parent });
  }
  // A child that has not executed its program yet still looks like its parent.
  return found.filter(({ parent }) => !found.some(({ pid }) => pid === parent)).map(({ pid, conf }) => ({ pid, conf }));
}

async function confOf(pid: number, words: string[]): Promise<string | undefined> {
  const at = words.findIndex((word) => /^(?:-c|--configuration)/.test(word));
  const word = words[at];
  if (word === undefined) return undefined;
  const value = word.startsWith("--") ? word.split("=")[1] : word.slice(2);
  const path = value === undefined || value === "" ? words[at + 1] : value;
  if (path === undefined) return undefined;
  return resolve(await readlink(`/proc/${pid}/cwd`).catch(() => "/"), path);
}
