import { readPart } from "./safe-read.ts";

/** In bytes: how much of a file is in memory at a time, and the longest line. */
const pieceSize = 64 * 1024;
const longestLine = 1024 * 1024;

/**
 * The whole lines of a file, piece by piece, so that a large file needs little memory. A last line without a newline is left
 * out: it is torn, or not yet written to its end. Without the file there are no lines, and neither are there in what is no
 * regular file.
 * @param path below `root`, as for `readSafely`
 * @param limit after so many bytes it stops
 */
export async function* linesOfFile(root: string, path: string, limit: number): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for (let from = 0; from < limit; ) {
    const read = await readPart(root, path, { from, bytes: pieceSize }).catch(() => undefined);
    if (read === undefined || read.part.length === 0) return;
    from += read.part.length;
    const bytes = Buffer.concat([rest, read.part]);
    const end = bytes.lastIndexOf("\n");
    rest = bytes.subarray(end + 1);
    if (rest.length > longestLine) return;
    if (end >= 0) yield* bytes.toString("utf8", 0, end).split("\n");
  }
}
