import { closeSync, constants, fchmodSync, fchownSync, fstatSync, lstatSync, openSync, readdirSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { CutoverError } from "../../../shared/errors.ts";
import { effect } from "../../effects.ts";
import { runTool } from "../exec/run-tool.ts";

/**
 * Changes owners in trees that other users may change at the same time. Each step starts from an open directory, follows no
 * link, and changes a file only while it is open and has the expected owner. So a directory or a link that is swapped in leads
 * nowhere else, and neither does a hard link to somebody else's file. Links themselves stay as they are: nobody can change
 * them in a directory of root's.
 */

export interface Owner {
  uid: number;
  gid: number;
}

/** O_NONBLOCK: a pipe in a file's place would otherwise stop the walk until somebody writes to it. */
const untouched = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const directory = untouched | constants.O_DIRECTORY;
/** Deeper than the paths of any bundle, and than what pip makes of wheels. */
const deepest = 200;
/** After how many files the event loop gets its turn. */
const turn = 500;

type Act = (file: number, path: string) => void;

interface Walk {
  act: Act;
  seen: number;
}

/**
 * Takes a tree to root: readable for all, writable only for root. Outside in, so that nobody can change what is taken. What
 * is root's already stays as it is.
 * @throws CutoverError internal if something in it belongs to none of these users
 */
export async function sealTree(path: string, from: number[]): Promise<void> {
  const seal: Act = (file, where) => {
    const { uid, mode } = fstatSync(file);
    if (uid === 0) return;
    if (!from.includes(uid)) throw wrongOwner(where);
    fchownSync(file, 0, 0);
    // After chown, and from the old mode: this clears set-user-id bits of the app's user too.
    const run = (mode & 0o111) === 0 ? 0 : 0o111;
    fchmodSync(file, (mode & 0o755) | 0o444 | run);
  };
  await effect("tree.seal", () => walkTree(path, { act: seal, seen: 0 }), path);
}

const timeoutMs = 10 * 60_000;

/**
 * Removes a tree. By the host's rm, which opens each directory from the one above it: Node's own rm could be led elsewhere
 * by a link that is swapped in while it runs. No error if nothing is there.
 * @throws CutoverError internal
 */
export async function removeTree(path: string): Promise<void> {
  // In embedded mode the directories of a release are read-only, also for their owner. Its files stay so: others share them.
  const writable = [path, "-type", "d", "-exec", "chmod", "u+w", "{}", "+"];
  if (process.geteuid?.() !== 0) await runTool("find", writable, { timeoutMs });
  const { code, stderr } = await runTool("rm", ["-rf", "--", path], { timeoutMs });
  if (code !== 0) throw new CutoverError("internal", `${path} could not be removed: ${stderr.trim().slice(-500)}`);
}

async function walkTree(path: string, walk: Walk): Promise<void> {
  const top = openSync(path, directory);
  try {
    await walkDirectory(top, path, walk, 0);
    // Nobody can rename it any more, so the path must now name what was walked.
    const [walked, named] = [fstatSync(top), lstatSync(path)];
    if (walked.ino !== named.ino || walked.dev !== named.dev) throw wrongOwner(path);
  } finally {
    closeSync(top);
  }
}

async function walkDirectory(open: number, path: string, walk: Walk, depth: number): Promise<void> {
  if (depth > deepest) throw new CutoverError("internal", `${path} is deeper than any directory that cutover makes.`);
  walk.act(open, path);
  const here = Buffer.from(`/proc/self/fd/${open}/`);
  for (const name of readdirSync(here, { encoding: "buffer" })) {
    const entry = openEntry(Buffer.concat([here, name]));
    if (entry === undefined) continue;
    try {
      const status = fstatSync(entry);
      const where = `${path}/${name}`;
      if (status.isDirectory()) await walkDirectory(entry, where, walk, depth + 1);
      else if (status.isFile()) walk.act(entry, where);
    } finally {
      closeSync(entry);
    }
    walk.seen += 1;
    if (walk.seen % turn === 0) await setImmediate();
  }
}

/** undefined for a link, for a socket, and for what is gone. */
function openEntry(path: Buffer): number | undefined {
  try {
    return openSync(path, untouched);
  } catch (thrown) {
    if (["ENOENT", "ELOOP", "ENXIO"].includes((thrown as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw thrown;
  }
}

function wrongOwner(path: string): CutoverError {
  return new CutoverError("internal", `${path} belongs to an unexpected user, so it was not changed.`, {
    unchanged: "The live release goes on serving.",
    fix: "Find out who put it there, remove it, then deploy again.",
  });
}
