import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Waits until this is the only helper: one whose agent was killed may still work. flock(1) holds the lock in a child that
 * ends when its standard input ends, which is when this process ends in any way. So no lock outlives its holder.
 * @param directory only root may write there
 * @param onLost called if the lock is lost; then another helper may work
 */
export async function holdLock(directory: string, onLost: () => void): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const hold = ["-x", "-F", join(directory, "lock"), "sh", "-c", "echo held; exec cat"];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const holder = spawn("flock", hold, { stdio: ["pipe", "pipe", "inherit"], env, cwd: "/" });
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once("data", () => resolve());
    holder.once("error", reject);
    holder.once("exit", (code) => reject(new Error(`flock ended with exit code ${code}`)));
  });
  holder.once("exit", onLost);
}
