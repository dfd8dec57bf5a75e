import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

export interface LockOptions {
  /** How long to wait, in milliseconds. */
  waitMs: number;
  /** This process is killed if its event loop stands still for so long, in milliseconds. */
  hangMs: number;
  /** Aborted when nobody needs the lock any more. */
  signal: AbortSignal;
  /** Called if the lock is lost; then another helper may work. */
  onLost(): void;
}

/**
 * Holds the lock, and reads a byte in time again and again. Without one the parent hangs, and must not keep others waiting. At
 * the end of the input the parent has ended.
 */
const guard = 'echo held; while beat=$(timeout "$0" head -c 1); do [ -n "$beat" ] || exit 0; done; kill -KILL "$PPID"';
/** How many bytes come in the time in which one must come. */
const beatsInTime = 4;

/**
 * Waits until this is the only helper: one whose agent was killed may still work. flock(1) holds the lock in a child that
 * ends when its standard input ends, which is when this process ends in any way. So no lock outlives its holder.
 * @param directory only root may write there, or enter it: whoever can open the lock's file can hold the lock
 * @throws Error after `waitMs`; the signal's reason
 */
export async function holdLock(directory: string, { waitMs, hangMs, signal, onLost }: LockOptions): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // A caller may be gone already, and then no event says so.
  signal.throwIfAborted();
  const options = ["--exclusive", "--no-fork", "--wait", String(waitMs / 1000), join(directory, "lock")];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const holder = spawn("flock", [...options, "sh", "-c", guard, String(hangMs / 1000)], {
    stdio: ["pipe", "pipe", "inherit"],
    env,
    cwd: "/",
  });
  const stop = () => holder.kill("SIGKILL");
  signal.addEventListener("abort", stop);
  try {
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("error", reject);
      holder.once("exit", () => reject(signal.aborted ? signal.reason : new Error("another helper works")));
    });
  } finally {
    signal.removeEventListener("abort", stop);
  }
  const beating = setInterval(() => holder.stdin.write("b"), hangMs / beatsInTime);
  beating.unref();
  holder.stdin.on("error", () => undefined);
  holder.once("exit", onLost);
}
