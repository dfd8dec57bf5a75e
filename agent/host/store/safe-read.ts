import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { CutoverError } from "../../../shared/errors.ts";

const untouched = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads a file below a directory in which another user may write. It follows no link, and reads only a regular file with
 * one name or of the directory's owner, and at most `limit` bytes. So nobody can make root read what they may not read themselves.
 * @throws the system's error if the file does not exist; CutoverError internal if it is no such file, or too large
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
    return readPlain(opened.at(-1) ?? -1, path, { limit, owner: fstatSync(opened[0] ?? -1).uid });
  } finally {
    for (const file of opened) closeSync(file);
  }
}

function readPlain(file: number, path: string, { limit, owner }: { limit: number; owner: number }): Buffer {
  const status = fstatSync(file);
  const { size, nlink, uid } = status;
  // Releases share files by hard links. One that the directory's owner made to somebody else's file is not read.
  const foreign = nlink > 1 && uid !== owner;
  if (!status.isFile() || foreign || size > limit) throw notPlain(path);
  const bytes = Buffer.alloc(size);
  let length = 0;
  for (let count = -1; count !== 0 && length < size; length += count) {
    count = readSync(file, bytes, length, size - length, length);
  }
  return bytes.subarray(0, length);
}

function notPlain(path: string): CutoverError {
  return new CutoverError("internal", `${path} of the release is not a regular file, or it is too large.`, {
    unchanged: "The live release goes on serving.",
    fix: "Deploy again: a new release gets its files from the bundle.",
  });
}
