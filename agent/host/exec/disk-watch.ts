import { statfs } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";

export interface DiskWatch {
  /** A path on the disk. */
  path: string;
  /** Bytes of the disk that the host's owner wants to stay free. */
  reserve: number;
  /** How often the disk is looked at, in milliseconds; 500 unless given. */
  everyMs?: number;
}

/**
 * Does work that may write, and aborts it before the disk is full: for what else is on the host, a full disk is worse than a
 * build that failed. It is too late when half of the reserve is gone, or nearly all of the files that the disk could still
 * have; where less was free from the start, when half of that is gone.
 * @throws what the work throws; it is to throw the reason of its signal, which is a CutoverError disk_full
 */
export async function withRoom<T>(
  { path, reserve, everyMs = 500 }: DiskWatch,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const before = await free(path);
  const least = { bytes: Math.min(reserve, before.bytes) / 2, files: before.files / 20 };
  const full = new AbortController();
  const look = async () => {
    const now = await free(path);
    if (now.bytes < least.bytes || now.files < least.files) full.abort(diskFull());
  };
  // A disk that cannot be asked is no reason to end a build: what it writes fails by itself.
  const timer = setInterval(() => void look().catch(() => undefined), everyMs);
  try {
    return await work(AbortSignal.any([signal, full.signal]));
  } finally {
    clearInterval(timer);
  }
}

/** What is free for users other than root. Some file systems have as many files as fit. */
async function free(path: string): Promise<{ bytes: number; files: number }> {
  const { bavail, bsize, files, ffree } = await statfs(path);
  return { bytes: bavail * bsize, files: files === 0 ? Number.POSITIVE_INFINITY : ffree };
}

function diskFull(): CutoverError {
  return new CutoverError("disk_full", "The build was ended before it filled the host's disk.", {
    unchanged: "What it had written was removed. The live release goes on serving.",
    fix: "Free disk space on the host, or install less, then deploy again. `limits.free` in agent.yml is what should stay free.",
  });
}
