import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { z } from "zod";
import { rotatedFile } from "../nginx/request-rotation.ts";

/** Not below an app's directory: only root can make a file there. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** In bytes: how much is read at a time. A longer line is none of nginx's. */
const pieceSize = 64 * 1024;

/** In bytes: more than this is left out. It is what 2,000 requests a second write in three minutes without an agent. */
const farBehind = 32 * 1024 ** 2;

/** How long a file that was rotated is still read: nginx's workers may write their last lines a moment later. */
const graceMs = 5000;

/** A file of lines, how far it was read, and the end of what was read, to know it again. */
export const savedFiles = z.array(z.object({ ino: z.number(), offset: z.number(), end: z.string() })).max(2);
type SavedFile = z.infer<typeof savedFiles>[number];

interface Followed extends SavedFile {
  handle: FileHandle;
  /** Since when nginx writes to another file. */
  leftAt?: number;
  /** In bytes, when it was last looked at. */
  size: number;
  /** The rest of a line is to be left out. */
  torn?: true;
}

export interface ReadLines {
  bytes: number;
  /** Whether nothing is left to read. */
  whole: boolean;
  /** What is wrong: lines may be lost. */
  lost: string[];
}

/**
 * The lines of one app, followed over rotation: a file that was rotated is read to its end. Each line comes once, also to the
 * agent that goes on from what another has saved.
 */
export class LineFiles {
  readonly #path: string;
  #followed: Followed[] = [];
  #resume: SavedFile[];
  #seen: boolean;

  /** @param saved how far an earlier agent has read */
  constructor(path: string, saved: SavedFile[] = []) {
    this.#path = path;
    this.#resume = saved;
    this.#seen = saved.length > 0;
  }

  get saved(): SavedFile[] {
    return [...this.#resume, ...this.#followed].map(({ ino, offset, end }) => ({ ino, offset, end }));
  }

  /** Whether there was ever a file. */
  get seen(): boolean {
    return this.#seen;
  }

  /** Whether nginx has no file to write to, although there was one: somebody has taken it away. */
  get missing(): boolean {
    return this.#seen && !this.#followed.some(({ leftAt }) => leftAt === undefined);
  }

  /** In bytes, of the file that nginx writes to. */
  get size(): number {
    return this.#followed.find(({ leftAt }) => leftAt === undefined)?.size ?? 0;
  }

  async close(): Promise<void> {
    for (const { handle } of this.#followed.splice(0)) await handle.close();
  }

  /** @param most bytes; what is beyond them is read the next time, or left out if that is too much */
  async read(most: number, now: number, take: (line: string) => void): Promise<ReadLines> {
    const result: ReadLines = { bytes: 0, whole: true, lost: [] };
    await this.#look(now, result);
    for (const file of this.#followed) {
      const { size } = await file.handle.stat();
      file.size = size;
      if (size < file.offset) {
        result.lost.push("the file of lines was cut off");
        Object.assign(file, { offset: 0, end: "" });
      }
      if (size - file.offset > farBehind) {
        result.lost.push("there were more lines than the agent reads");
        Object.assign(file, { offset: size, end: "", torn: true });
      }
      if (size > file.offset) await readFile(file, { most: most - result.bytes, take }, result);
    }
    await this.#leave(now, result);
    return result;
  }

  /** Finds the file that nginx writes to now, and what an earlier agent has read. */
  async #look(now: number, { lost }: ReadLines): Promise<void> {
    const present = await stat(this.#path).catch(() => undefined);
    const current = this.#followed.find(({ leftAt }) => leftAt === undefined);
    if (present !== undefined && present.ino === current?.ino && this.#resume.length === 0) return;
    const rotated = current !== undefined && (await this.#isRotated(current));
    // A moment later nginx has another one. Until then it writes to this.
    if (rotated && present === undefined) return;
    if (current !== undefined) current.leftAt = now;
    const wanted = this.#resume.splice(0);
    const strange = wanted.length > 0 && (await this.#goOn(wanted, now)) < wanted.length;
    const gone = present === undefined ? this.#seen : current !== undefined && !rotated;
    if (strange || gone) lost.push("the file of lines was removed or replaced");
    if (present === undefined || this.#followed.some(({ ino }) => ino === present.ino)) return;
    const handle = await open(this.#path, flags).catch(() => undefined);
    if (handle === undefined) lost.push("the file of lines could not be read");
    else this.#followed.push({ handle, ino: (await handle.stat()).ino, offset: 0, end: "", size: 0 });
    this.#seen ||= handle !== undefined;
  }

  /** Whether what was followed until now lies where a rotation puts it. */
  async #isRotated({ ino }: Followed): Promise<boolean> {
    return (await stat(rotatedFile(this.#path)).catch(() => undefined))?.ino === ino;
  }

  /** @returns how many of the files of an earlier agent are there */
  async #goOn(wanted: SavedFile[], now: number): Promise<number> {
    let found = 0;
    for (const path of [rotatedFile(this.#path), this.#path]) {
      const handle = await open(path, flags).catch(() => undefined);
      if (handle === undefined) continue;
      const { ino } = await handle.stat();
      const saved = wanted.find((one) => one.ino === ino);
      if (saved === undefined || !(await isSame(handle, saved))) {
        await handle.close();
        continue;
      }
      found++;
      this.#followed.push({ ...saved, size: 0, handle, ...(path !== this.#path && { leftAt: now }) });
    }
    return found;
  }

  async #leave(now: number, { lost }: ReadLines): Promise<void> {
    for (const file of [...this.#followed]) {
      const read = file.size <= file.offset && file.leftAt !== undefined && now - file.leftAt > graceMs;
      // A third file: what is left of the first must not be kept open for ever.
      if (!read && this.#followed.length <= 2) continue;
      if (file.size > file.offset) lost.push("there were more lines than the agent reads");
      this.#followed = this.#followed.filter((other) => other !== file);
      await file.handle.close();
    }
  }
}

interface Part {
  most: number;
  take(line: string): void;
}

async function readFile(file: Followed, { most, take }: Part, result: ReadLines): Promise<void> {
  const buffer = Buffer.allocUnsafe(pieceSize);
  const end = Math.min(file.size, file.offset + most);
  while (file.offset < end) {
    const { bytesRead } = await file.handle.read(buffer, 0, pieceSize, file.offset);
    if (bytesRead === 0) break;
    const newline = buffer.lastIndexOf(10, bytesRead - 1);
    if (newline === -1 && bytesRead < pieceSize) break;
    const used = newline === -1 ? bytesRead : newline + 1;
    if (newline === -1) {
      file.torn = true;
      // Too long for a line: its taker sees that something came.
      take("");
    } else takeLines(file, buffer.toString("latin1", 0, newline), take);
    file.offset += used;
    file.end = buffer.toString("latin1", Math.max(0, used - 100), used);
    result.bytes += used;
  }
  result.whole &&= end === file.size;
}

function takeLines(file: Followed, text: string, take: (line: string) => void): void {
  const lines = text.split("\n");
  // The beginning of a line that is too long, or that was left out with what was before it.
  if (file.torn) lines.shift();
  delete file.torn;
  for (const line of lines) take(line);
}

/** An inode's number may be that of a new file. */
async function isSame(handle: FileHandle, { offset, end }: SavedFile): Promise<boolean> {
  const length = end.length;
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, Math.max(0, offset - length));
  return (await handle.stat()).size >= offset && buffer.toString("latin1", 0, bytesRead) === end;
}
