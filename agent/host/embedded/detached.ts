import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { toolPath } from "../exec/run-tool.ts";

/** A server that outlives this process. */
export interface Detached {
  pid: number;
  /** What it printed, after it has ended; undefined while it runs. */
  ended(): Promise<string | undefined>;
}

/**
 * Starts a server in a session of its own, so that it outlives this process. What it prints before it has its own log goes
 * to the file `output`.
 */
export async function startDetached(program: string, args: string[], output: string): Promise<Detached> {
  const file = await open(output, "w", 0o640);
  try {
    const child = spawn(program, args, {
      detached: true,
      stdio: ["ignore", file.fd, file.fd],
      cwd: "/",
      env: { PATH: toolPath, LANG: "C.UTF-8" },
    });
    await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    child.unref();
    return {
      pid: child.pid ?? 0,
      async ended() {
        if (child.exitCode === null && child.signalCode === null) return undefined;
        return (await readFile(output, "utf8")).trim() || "it ended without a message";
      },
    };
  } finally {
    await file.close();
  }
}
