import { closeSync, constants, fchmodSync, fchownSync, fstatSync, lstatSync, openSync, readdirSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { CutoverError } from "../../../shared/errors.ts";
import { effect } from "../../effects.ts";
import { runTool } from "../exec/run-tool.ts";

/**
 * Trees that other users may change while root walks them. Each step starts from an open directory, follows no link, and
 * touches a file only while it is open and belongs to whom it is expected to: so neither a directory or a link that is
 * swapped in, nor a hard link to somebody else's file, leads anywhere else. Links themselves are left as they are: in a
 * directory of root's nobody can change them.
 */

export interface Owner {
  uid: number;
  gid: number;
}

/** Without O_NONBLOCK a pipe that was put in a file's place would stop the walk until somebody writes to it. */
const untouched = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const directory = untouched | constants.O_DIRECTORY;
/** Deeper than any bundle's paths and what pip makes of wheels. */
const deepest = 200;
/** How many files are done before others have their turn. */
const turn = 500;

type Act = (file: number, path: string) => void;

interface Walk {
  order: "outside in" | "inside out";
  act: Act;
  seen: number;
}

/**
 * Gives a tree, as far as it is `from`'s, to a user: inside out, so that the new owner cannot put anything in the way of
 * the walk. @throws CutoverError internal where something in it belongs to neither
 */
export async function giveTree(path: string, from: number, to: Owner): Promise<void> {
  const give: Act = (file, where) => {
    const { uid, nlink } = fstatSync(file);
    if (uid === to.uid) return;
    // Root has files that others may have a second name for.
    if (uid !== from || (from === 0 && nlink > 1 && fstatSync(file).isFile())) throw wrongOwner(where);
    fchownSync(file, to.uid, to.gid);
  };
  await effect("tree.give", () => walkTree(path, { order: "inside out", act: give, seen: 0 }), path);
}

/**
 * Takes a tree to root, readable for all and writable for nobody else: outside in, so that what was taken stays as it is.
 * What is root's already is left alone. @throws CutoverError internal where something in it belongs to none of these
 */
export async function sealTree(path: string, from: number[]): Promise<void> {
  const seal: Act = (file, where) => {
    const { uid, mode } = fstatSync(file);
    if (uid === 0) return;
    if (!from.includes(uid)) throw wrongOwner(where);
    fchownSync(file, 0, 0);
    // Last, and by the mode from before: set-user-id bits that the app's user left behind go too.
    const run = (mode & 0o111) === 0 ? 0 : 0o111;
    fchmodSync(file, (mode & 0o755) | 0o444 | run);
  };
  await effect("tree.seal", () => walkTree(path, { order: "outside in", act: seal, seen: 0 }), path);
}

/** With the host's rm, which opens each directory from the one above it: Node's own could be led astray while it runs. */
export async function removeTree(path: string): Promise<void> {
  const { code, stderr } = await runTool("rm", ["-rf", "--", path], { timeoutMs: 10 * 60_000 });
  if (code !== 0) throw new CutoverError("internal", `${path} could not be removed: ${stderr.trim().slice(-500)}`);
}

async function walkTree(path: string, walk: Walk): Promise<void> {
  const top = openSync(path, directory);
  try {
    await walkDirectory(top, path, walk, 0);
    // Whoever could rename it before cannot any more: what the path names now is what was walked.
    const [walked, named] = [fstatSync(top), lstatSync(path)];
    if (walked.ino !== named.ino || walked.dev !== named.dev) throw wrongOwner(path);
  } finally {
    closeSync(top);
  }
}

async function walkDirectory(open: number, path: string, walk: Walk, depth: number): Promise<void> {
  if (depth > deepest) throw new CutoverError("internal", `${path} is deeper than anything that cutover makes.`);
  if (walk.order === "outside in") walk.act(open, path);
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
  if (walk.order === "inside out") walk.act(open, path);
}

/** undefined for what is gone, for a link, and for a socket. */
function openEntry(path: Buffer): number | undefined {
  try {
    return openSync(path, untouched);
  } catch (thrown) {
    if (["ENOENT", "ELOOP", "ENXIO"].includes((thrown as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw thrown;
  }
}

function wrongOwner(path: string): CutoverError {
  return new CutoverError("internal", `${path} belongs to another user than it should, and was left as it is.`, {
    unchanged: "The live release goes on serving.",
    fix: "Find out who put it there, remove it, then deploy again.",
  });
}
