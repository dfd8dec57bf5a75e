import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDiskSize {
  bytes: number;
  files: number;
}

/** A file system of a few megabytes, mounted on a directory. */
export class SmallDisk implements Disposable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
    // Before whoever removes the directory while this process exits.
    process.prependListener("exit", this.#unmount);
  }

  static mount(path: string, { bytes, files }: SmallDiskSize): SmallDisk {
    mkdirSync(path, { recursive: true });
    const options = `size=${bytes},nr_inodes=${files},mode=755`;
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "cutover-test", path], { stdio: "pipe" });
    return new SmallDisk(path);
  }

  readonly #unmount = (): void => {
    // Lazily, so that a process which still has a file open cannot keep it.
    spawnSync("umount", ["--lazy", this.#path]);
  };

  [Symbol.dispose](): void {
    process.off("exit", this.#unmount);
    this.#unmount();
  }
}

/** A container's root may not mount anything. */
export function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), "cutover-mount-"));
  try {
    using _ = SmallDisk.mount(path, { bytes: 65_536, files: 10 });
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}

/** Takes all but so many of a disk's files away. */
export function fillFiles(directory: string, left: number): Disposable {
  const filler = join(directory, "filler");
  mkdirSync(filler);
  for (let free = statfsSync(directory).ffree; free > left; free--) writeFileSync(join(filler, String(free)), "");
  return { [Symbol.dispose]: () => rmSync(filler, { recursive: true }) };
}

/** Takes all of a disk's bytes away. */
export function fillBytes(directory: string): Disposable {
  const filler = join(directory, "filler");
  const piece = Buffer.alloc(4096, "x");
  try {
    for (;;) writeFileSync(filler, piece, { flag: "a" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  return { [Symbol.dispose]: () => rmSync(filler) };
}
