import { spawn } from "node:child_process";
import { closeSync, constants, fstatSync, openSync, readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { CutoverError } from "../../../shared/errors.ts";
import { toolPath } from "../exec/run-tool.ts";

/**
 * Lets the agent open the sockets of a run, for health checks, by access control lists. A group for nginx's workers and the
 * agent would do it too, but running workers get a new group only when they are replaced, which costs visitors requests; and
 * an agent in nginx's own group could read all that this group may.
 */

const place = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Opens what cannot be opened otherwise, such as a socket, only to name it. Node has no name for O_PATH. */
const named = 0o10000000 | constants.O_NOFOLLOW;

/**
 * A user may pass the directory, and open what is made in it from now on. The umask does not count below such a directory.
 * So, as for sockets that a server opens to all, only the directory decides who gets in.
 * @throws CutoverError host_settings_invalid
 */
export async function admitToDirectory(path: string, uid: number): Promise<void> {
  const directory = openSync(path, place);
  try {
    await modify(directory, `u:${uid}:x,d:u:${uid}:rw,d:u::rwx,d:g::rwx,d:o::rwx`, path);
  } finally {
    closeSync(directory);
  }
}

/** A user may pass the directory, and not list it. @throws CutoverError host_settings_invalid */
export async function admitThrough(path: string, uid: number): Promise<void> {
  const directory = openSync(path, place);
  try {
    await modify(directory, `u:${uid}:x`, path);
  } finally {
    closeSync(directory);
  }
}

/**
 * The same for a run that an earlier release started, with the sockets that are there. Nothing if there is no such directory.
 * @throws CutoverError host_settings_invalid
 */
export async function admitToSockets(path: string, uid: number): Promise<void> {
  const directory = openIfThere(path, place);
  if (directory === undefined) return;
  try {
    await admitToDirectory(`/proc/self/fd/${directory}/.`, uid);
    const owner = fstatSync(directory).uid;
    for (const name of readdirSync(`/proc/self/fd/${directory}`)) {
      const entry = openIfThere(`/proc/self/fd/${directory}/${name}`, named);
      if (entry === undefined) continue;
      try {
        const status = fstatSync(entry);
        // The app's user may have linked somebody else's socket here.
        if (status.isSocket() && status.uid === owner) await modify(entry, `u:${uid}:rw`, `${path}/${name}`);
      } finally {
        closeSync(entry);
      }
    }
  } finally {
    closeSync(directory);
  }
}

function openIfThere(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch (thrown) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes((thrown as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw thrown;
  }
}

/** By an open file, since others may change what the path leads to. */
async function modify(file: number, entries: string, path: string): Promise<void> {
  const child = spawn("setfacl", ["--modify", entries, "/proc/self/fd/3"], {
    stdio: ["ignore", "ignore", "pipe", file],
    env: { PATH: toolPath, LC_ALL: "C" },
    cwd: "/",
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const said = child.stderr === null ? "" : text(child.stderr);
  const code = await ended.catch((cause: unknown) => {
    throw impossible(path, "this host has no setfacl", "Install it: `apt install acl`.", cause);
  });
  if (code === 0) return;
  const fix = "The file system of `data` in agent.yml must have access control lists, as ext4, xfs and btrfs do.";
  throw impossible(path, (await said).replace("/proc/self/fd/3: ", "").trim(), fix);
}

function impossible(path: string, why: string, fix: string, cause?: unknown): CutoverError {
  return new CutoverError("host_settings_invalid", `The agent cannot get access to the sockets in ${path}: ${why}.`, {
    unchanged: "The sites go on serving.",
    fix,
    cause,
  });
}
