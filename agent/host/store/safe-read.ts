import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { CutoverError } from "../../../shared/errors.ts";

const untouched = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A file of a directory that another user may write to. No link is followed on the way, nothing but a plain file with one
 * name is read, and no more of it than the limit in bytes: so root does not read for others what they may not read.
 * @throws the system's error where it is not there; CutoverError internal where it is something else
 */
export function safeRead(root: string, path: string, limit: number): Buffer {
  const opened: number[] = [];
  try {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    let at = root;
    for (const [index, part] of ["", ...parts].entries()) {
      if (part === "..") throw notPlain(path);
      const kind = index === parts.length ? 0 : constants.O_DIRECTORY;
      const file = openSync(part === "" ? at : `${at}/${part}`, untouched | kind);
      opened.push(file);
      at = `/proc/self/fd/${file}`;
    }
    // In a directory of one's own nobody else has put a second name of somebody's file.
    const names = fstatSync(opened[0] ?? -1).uid === process.geteuid?.() ? Number.POSITIVE_INFINITY : 1;
    return readPlain(opened.at(-1) ?? -1, path, { limit, names });
  } finally {
    for (const file of opened) closeSync(file);
  }
}

function readPlain(file: number, path: string, { limit, names }: { limit: number; names: number }): Buffer {
  const status = fstatSync(file);
  const { size, nlink } = status;
  if (!status.isFile() || nlink > names || size > limit) throw notPlain(path);
  const bytes = Buffer.alloc(size);
  let length = 0;
  for (let count = -1; count !== 0 && length < size; length += count) {
    count = readSync(file, bytes, length, size - length, length);
  }
  return bytes.subarray(0, length);
}

function notPlain(path: string): CutoverError {
  return new CutoverError("internal", `${path} of the release is not a plain file, or too large.`, {
    unchanged: "The live release goes on serving.",
    fix: "Deploy the release again.",
  });
}
