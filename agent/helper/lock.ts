import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * One helper at a time: one whose agent was killed may still be at work. flock(1) holds the lock in a child that ends when
 * its standard input does, which is when this process ends, however it ends; so no lock outlives its holder.
 * @param directory root's alone
 * @param onLost without it another helper may be at work
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
