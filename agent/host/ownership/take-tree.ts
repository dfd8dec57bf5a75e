import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  symlinkSync,
  writeSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import prettyBytes from "pretty-bytes";
import { CutoverError } from "../../../shared/errors.ts";
import { abortReason } from "../abort-reason.ts";

export interface TakeRequest {
  /** What a build left behind. None of its processes runs any more. */
  from: string;
  /** Made by this call. Nobody else can write above it. */
  to: string;
  /** The path at which the tree had been for the build, and to which absolute links in it lead. */
  at: string;
  /** Names at the top of the tree that are left out. */
  without: readonly string[];
  /** Links that may lead out of the tree: where they lead, for a path in it. */
  outside(path: string): readonly string[];
  /** Bytes of its files together, and how many files and directories it may have. */
  limits: { bytes: number; files: number };
  signal: AbortSignal;
}

/** O_NONBLOCK: a pipe would otherwise be waited for until somebody writes to it. */
const untouched = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const directory = untouched | constants.O_DIRECTORY;
const created = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
/** Deeper than anything that pip makes of wheels. */
const deepest = 100;
/** After how many files the event loop gets its turn. */
const turn = 200;

/**
 * Copies a tree that somebody else has written: new files, which are this process's and writable for it alone. Whoever still
 * has a file of the old tree open reaches nothing of the new one. Each entry is opened from its open directory, and no link is
 * followed.
 * @throws CutoverError environment_failed, which names what is neither a file nor a directory nor a link within the tree, or
 * what is too much; aborted; the system's error if it cannot be written
 */
export async function takeTree(request: TakeRequest): Promise<void> {
  const taking = new Taking(request);
  const top = openSync(request.from, directory);
  try {
    mkdirSync(request.to, { mode: 0o755 });
    await taking.directory(top, Buffer.from(request.to), []);
  } finally {
    closeSync(top);
  }
}

class Taking {
  readonly #request: TakeRequest;
  readonly #buffer = Buffer.allocUnsafe(256 * 1024);
  #files = 0;
  #bytes = 0;
  #owner: number | undefined;

  constructor(request: TakeRequest) {
    this.#request = request;
  }

  /** @param path the names from the top */
  async directory(open: number, to: Buffer, path: Buffer[]): Promise<void> {
    if (path.length > deepest) throw refused(path, `is more than ${deepest} directories deep`);
    const here = Buffer.from(`/proc/self/fd/${open}`);
    // One entry after the other: a directory may have more than this process has memory for.
    const entries = opendirSync(here.toString(), { encoding: "buffer" as BufferEncoding });
    try {
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        const name = entry.name as unknown as Buffer;
        if (path.length === 0 && this.#request.without.includes(name.toString())) continue;
        await this.#entry(joined(here, name), joined(to, name), [...path, name]);
      }
    } finally {
      entries.closeSync();
    }
  }

  async #entry(from: Buffer, to: Buffer, path: Buffer[]): Promise<void> {
    this.#count(path);
    if (this.#files % turn === 0) await setImmediate();
    if (this.#request.signal.aborted) throw abortReason(this.#request.signal);
    const status = lstatSync(from);
    this.#checkOwner(status, path);
    if (status.isSymbolicLink()) return this.#link(from, to, path);
    if (!status.isFile() && !status.isDirectory()) throw refused(path, `is ${kindOf(status)}`);
    const open = openSync(from, untouched);
    try {
      const opened = fstatSync(open);
      this.#checkOwner(opened, path);
      if (opened.isDirectory()) {
        mkdirSync(to, { mode: 0o755 });
        await this.directory(open, to, path);
      } else if (opened.isFile()) this.#file(open, opened, to, path);
      else throw refused(path, `is ${kindOf(opened)}`);
    } finally {
      closeSync(open);
    }
  }

  #file(open: number, { size, mode, nlink, mtimeMs }: Stats, to: Buffer, path: Buffer[]): void {
    const { bytes } = this.#request.limits;
    if ((mode & 0o6000) !== 0) throw refused(path, "has the set-user-id or set-group-id bit");
    // All its names should be in the tree, which is tedious to prove; no build tool makes any.
    if (nlink > 1) throw refused(path, "has a second name (a hard link)");
    this.#bytes += size;
    if (this.#bytes > bytes) throw tooMuch(`is larger than ${prettyBytes(bytes)}`, "limits.environment");
    const copy = openSync(to, created, 0o600);
    try {
      // Not by copyFile: it gives the copy to the owner of the original.
      for (let left = size; left > 0; ) {
        const length = readSync(open, this.#buffer, 0, Math.min(left, this.#buffer.length), null);
        if (length === 0) break;
        writeAll(copy, this.#buffer.subarray(0, length));
        left -= length;
      }
      fchmodSync(copy, (mode & 0o111) === 0 ? 0o644 : 0o755);
      // Bytecode names the time of its source, in whole seconds.
      const seconds = Math.floor(mtimeMs / 1000);
      futimesSync(copy, seconds, seconds);
    } finally {
      closeSync(copy);
    }
  }

  #link(from: Buffer, to: Buffer, path: Buffer[]): void {
    const target = readlinkSync(from, { encoding: "buffer" });
    const text = target.toString();
    const own = this.#request.outside(Buffer.concat(path.flatMap((name) => [name, slash]).slice(0, -1)).toString());
    const inside = staysInside(text, this.#request.at, path.length - 1);
    if (!inside && !own.includes(text)) throw refused(path, `is a link to ${JSON.stringify(text)}, outside`);
    symlinkSync(target, to);
  }

  #count(path: Buffer[]): void {
    const { files } = this.#request.limits;
    this.#files += 1;
    if (this.#files > files) throw tooMuch(`has more than ${files} files and directories`, "limits.environment_files");
    if (Buffer.concat(path).includes("\n")) throw refused(path, "has a line break in its name");
  }

  /** A build has one user. What belongs to another one was not made by it. */
  #checkOwner({ uid }: Stats, path: Buffer[]): void {
    this.#owner ??= uid;
    if (uid !== this.#owner) throw refused(path, "belongs to another user than the rest");
  }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}

const slash = Buffer.from("/");

function joined(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, slash, name]);
}

/**
 * Whether a link stays in its tree wherever other links of the tree lead. So `..` counts only at the start, where it starts
 * from a real directory.
 * @param depth how many directories the link is below the top
 */
function staysInside(target: string, top: string, depth: number): boolean {
  const absolute = target.startsWith("/");
  if (absolute && target !== top && !target.startsWith(`${top}/`)) return false;
  const names = (absolute ? target.slice(top.length) : target).split("/").filter((name) => name !== "" && name !== ".");
  const up = absolute ? 0 : names.findIndex((name) => name !== "..");
  const ups = up === -1 ? names.length : up;
  return ups <= depth && !names.slice(ups).includes("..");
}

function kindOf(status: Stats): string {
  if (status.isFIFO()) return "a pipe";
  if (status.isSocket()) return "a socket";
  return "a device";
}

function refused(path: Buffer[], why: string): CutoverError {
  const name = JSON.stringify(path.map(String).join("/"));
  return new CutoverError(
    "environment_failed",
    `The build left something that no environment may have: ${name} ${why}.`,
    {
      unchanged: "The environment was removed. The live release goes on serving.",
      fix: "Find the package that makes it (pip's lines name them), and replace or correct it. See SECURITY.md.",
    },
  );
}

function tooMuch(what: string, key: string): CutoverError {
  return new CutoverError("environment_failed", `The environment that the build made ${what}.`, {
    unchanged: "The environment was removed. The live release goes on serving.",
    fix: `Install fewer packages, or raise \`${key}\` in agent.yml.`,
  });
}
