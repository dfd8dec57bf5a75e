import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { systemPath } from "../harness/places.ts";
import { endOf } from "../harness/run.ts";

const holder = fileURLToPath(new URL("holder.sh", import.meta.url));

/**
 * Namespaces of a lab's own for network, mounts and processes, and a directory in memory. A process holds them that ends when
 * this one does, however that is, and the kernel ends everything in them.
 */
export class Namespaces implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  /** The first process inside, as this machine counts. */
  readonly pid: number;
  /** A directory that is there only inside. */
  readonly directory: string;
  /** Directories of cgroups, one in each hierarchy that systemd uses. */
  readonly cgroups: string[];

  private constructor(child: ChildProcess, ended: Promise<number>, pid: number, directory: string, cgroups: string[]) {
    this.#child = child;
    this.#ended = ended;
    this.pid = pid;
    this.directory = directory;
    this.cgroups = cgroups;
  }

  static async open(): Promise<Namespaces> {
    const directory = mkdtempSync(join(tmpdir(), "cutover-lab-"));
    const cgroups = cgroupsOf(readFileSync("/proc/self/cgroup", "utf8")).map((parent) =>
      join(parent, basename(directory)),
    );
    // A process group of its own: Ctrl-C at a terminal is for whoever holds the other end.
    const child = spawn("sh", [holder, directory, ...cgroups], {
      detached: true,
      env: { PATH: systemPath },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.on("error", () => undefined);
    const ended = endOf(child);
    const ready = once(createInterface({ input: child.stdout }), "line");
    await Promise.race([
      ready,
      ended.then((code) => {
        throw new Error(`the lab's namespaces could not be made: exit code ${code}`);
      }),
    ]);
    // It says so just before it becomes the program that waits.
    for (;;) {
      const pid = descendantNamed(child.pid ?? 0, "cat");
      if (pid !== undefined) return new Namespaces(child, ended, pid, directory, cgroups);
      if (child.exitCode !== null) throw new Error("the lab's first process is gone");
      await sleep(5);
    }
  }

  /** Words to put before a command that is to run in the lab's network. */
  get inNetwork(): string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, "--"];
  }

  /** The same for mounts and processes too. */
  get inside(): string[] {
    const options = ["net=net", "mount=mnt", "pid=pid"].map((pair) => pair.replace("=", `=/proc/${this.pid}/ns/`));
    return ["nsenter", ...options.map((option) => `--${option}`), "--"];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}

/** Where this process may make cgroups that a systemd inside takes for its own: by /proc/self/cgroup. */
export function cgroupsOf(text: string): string[] {
  const root = "/sys/fs/cgroup";
  const lines = text
    .trim()
    .split("\n")
    .map((line) => line.split(":"));
  const found: string[] = [];
  for (const [, controllers, ...path] of lines) {
    if (controllers === "name=systemd") found.push(join(root, "systemd", path.join(":")));
    if (controllers === "")
      found.push(join(root, existsSync(join(root, "cgroup.procs")) ? "" : "unified", path.join(":")));
  }
  return found.filter((directory) => existsSync(join(directory, "cgroup.procs")));
}

/** What a process has started, as far as it runs. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The first process below this one that has this name. */
export function descendantNamed(pid: number, name: string): number | undefined {
  for (const child of childrenOf(pid)) {
    const found = nameOf(child) === name ? child : descendantNamed(child, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
