import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The files of a memory cgroup in each version of the kernel's interface. */
const versions = [
  {
    root: "/sys/fs/cgroup/memory",
    own: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    files: { limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes", kills: "memory.oom_control" },
  },
  {
    root: "/sys/fs/cgroup",
    own: /^0::(.*)$/m,
    files: { limit: "memory.max", peak: "memory.peak", kills: "memory.events" },
  },
] as const;

/** A cgroup with a limit of memory, as systemd makes one for a unit with MemoryMax. It goes when it is disposed of. */
export class MemoryCgroup implements AsyncDisposable {
  readonly #path: string;
  readonly #files: (typeof versions)[number]["files"];

  private constructor(path: string, files: (typeof versions)[number]["files"]) {
    this.#path = path;
    this.#files = files;
  }

  /** undefined if this machine lets nobody make one. @param limit in bytes */
  static make(limit: number): MemoryCgroup | undefined {
    const text = readFileSync("/proc/self/cgroup", "utf8");
    for (const { root, own, files } of versions) {
      const below = own.exec(text)?.[1];
      if (below === undefined) continue;
      // In a container the root of the mount may be this process's own cgroup.
      const parent = existsSync(join(root, below)) ? join(root, below) : root;
      const path = join(parent, `cutover-test-${randomBytes(6).toString("hex")}`);
      try {
        mkdirSync(path);
      } catch {
        continue;
      }
      try {
        writeFileSync(join(path, files.limit), String(limit));
        return new MemoryCgroup(path, files);
      } catch {
        // The controller is not there for it.
        rmdirSync(path);
      }
    }
    return undefined;
  }

  /** The words before a program that start it in here. */
  get enter(): string[] {
    return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.#path];
  }

  /** In bytes, with what the kernel keeps of files; the kernel takes that back at the limit. */
  get peak(): number | undefined {
    const file = join(this.#path, this.#files.peak);
    return existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined;
  }

  /** How many processes were killed since there was no memory left. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(this.#path, this.#files.kills), "utf8"))?.[1] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The last process in it may still be leaving.
    for (let left = 100; ; left--) {
      try {
        rmdirSync(this.#path);
        return;
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return;
        if (left === 0) throw thrown;
        await sleep(50);
      }
    }
  }
}
