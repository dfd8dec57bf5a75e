import { readPart } from "../store/safe-read.ts";

/** Up to where a log was read. Supervisor renames a full log, so its inode says which file that was. */
export interface LogPlace {
  inode: number;
  /** In bytes from the file's beginning. */
  offset: number;
}

/** What stands in a log after a place, in whole lines, and the place after it. */
export interface LogPart {
  text: string;
  place: LogPlace;
}

/** Of one answer, in bytes. */
export const followedBytes = 64 * 1024;
/** supervisor keeps three logs that are full: `stdout_logfile_backups` of the programs. */
const generations = ["", ".1", ".2", ".3"];
const newline = 0x0a;

interface Generation {
  path: string;
  inode: number;
  size: number;
}

/** The last whole lines of a log: what is not a whole line yet comes with the next part. @throws as `readPart` */
export async function lastPart(root: string, path: string, lines: number): Promise<LogPart> {
  const { part, size, inode } = await readPart(root, path, { from: -followedBytes, bytes: followedBytes });
  const start = part.length < size ? part.indexOf(newline) + 1 : 0;
  const end = part.lastIndexOf(newline) + 1;
  const all = part.subarray(start, end).toString("utf8").split("\n");
  all.pop();
  return { text: all.slice(-lines).join("\n"), place: { inode, offset: size - part.length + end } };
}

/**
 * What was written after the place, over the files that supervisor has renamed meanwhile; no more than `followedBytes`, and the
 * rest with the next call. A place whose file is gone, and no place, is the beginning of the log. @throws as `readPart`
 */
export async function partAfter(root: string, path: string, place: LogPlace | undefined): Promise<LogPart> {
  const files = await filesAfter(root, path, place);
  const pieces: Piece[] = [];
  let length = 0;
  for (const [index, file] of files.entries()) {
    // A log that was emptied in place begins again.
    const from = index === 0 && place?.inode === file.inode && place.offset <= file.size ? place.offset : 0;
    const { part, inode } = await readPart(root, file.path, { from, bytes: followedBytes - length });
    // Renamed since it was found: the next call finds it.
    if (inode !== file.inode) break;
    pieces.push({ inode, from, part });
    length += part.length;
    if (length >= followedBytes || from + part.length < file.size) break;
  }
  return wholeLines(pieces, place);
}

/** From the place's file to the newest. A file only moves to a higher number, so none is missed from the newest on. */
async function filesAfter(root: string, path: string, place: LogPlace | undefined): Promise<Generation[]> {
  const files: Generation[] = [];
  for (const suffix of place === undefined ? [""] : generations) {
    const found = await readPart(root, `${path}${suffix}`, { from: 0, bytes: 0 }).catch(() => undefined);
    if (found === undefined) continue;
    const { inode, size } = found;
    if (files[0]?.inode !== inode) files.unshift({ path: `${path}${suffix}`, inode, size });
    if (inode === place?.inode) return files;
  }
  return files.slice(-1);
}

interface Piece {
  inode: number;
  from: number;
  part: Buffer;
}

/** A line may go on in the next file: supervisor renames a log between any two bytes. */
function wholeLines(pieces: Piece[], before: LogPlace | undefined): LogPart {
  const bytes = Buffer.concat(pieces.map(({ part }) => part));
  const whole = bytes.lastIndexOf(newline) + 1;
  // A line that fills the whole answer comes in parts.
  const taken = whole === 0 && bytes.length >= followedBytes ? bytes.length : whole;
  const all = bytes.subarray(0, taken).toString("utf8");
  const [first] = pieces;
  let place = before ?? { inode: first?.inode ?? 0, offset: first?.from ?? 0 };
  if (first !== undefined && taken === 0) place = { inode: first.inode, offset: first.from };
  for (let left = taken, at = 0; left > 0; at++) {
    const { inode, from, part } = pieces[at] as Piece;
    place = { inode, offset: from + Math.min(left, part.length) };
    left -= part.length;
  }
  return { text: all.endsWith("\n") ? all.slice(0, -1) : all, place };
}
