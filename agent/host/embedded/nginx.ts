import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { childrenOf, commandLine, processRuns, readPidFile, waitForEnd } from "../exec/processes.ts";
import { startDetached } from "./detached.ts";
import type { EmbeddedLayout } from "./files.ts";

/** Whether the nginx of this directory runs. */
export async function nginxRuns({ nginx }: EmbeddedLayout): Promise<boolean> {
  const pid = await readPidFile(nginx.pidFile);
  // The process id may belong to another process by now.
  return pid !== undefined && (await processRuns(pid)) && (await commandLine(pid)).includes(nginx.conf);
}

/** @throws CutoverError nginx_unreachable */
export async function startNginx({ nginx, log }: EmbeddedLayout, program: string, clock: Clock): Promise<void> {
  const daemon = await startDetached(
    program,
    ["-c", nginx.conf, "-e", nginx.log, "-g", "daemon off;"],
    join(log, "nginx.out"),
  );
  const deadline = clock.elapsed() + 10_000;
  while ((await readPidFile(nginx.pidFile)) !== daemon.pid || (await childrenOf(daemon.pid)).length === 0) {
    const said = await daemon.ended();
    if (said !== undefined || clock.elapsed() > deadline)
      throw nginxDidNotStart(said ?? "it has no workers yet", nginx.confDir);
    await clock.sleep(10);
  }
}

function nginxDidNotStart(said: string, confDir: string): CutoverError {
  return new CutoverError("nginx_unreachable", `nginx did not start: ${said.split("\n").at(-1)}`, {
    unchanged: "Nothing was changed.",
    fix: said.includes("bind()")
      ? "Another program listens on an address of one of the sites. Stop it, or change `listen` of the app."
      : `Read its message, and check the files in ${confDir}.`,
    evidence: [{ source: "nginx", text: said.slice(-4000) }],
  });
}

/** Stops it, in the end with SIGKILL. No error if it does not run. */
export async function stopNginx(layout: EmbeddedLayout, clock: Clock): Promise<void> {
  const pid = await readPidFile(layout.nginx.pidFile);
  if (pid === undefined || !(await nginxRuns(layout))) return;
  // SIGQUIT lets requests finish; the others cut them.
  for (const [signal, patience] of [
    ["SIGQUIT", 3000],
    ["SIGTERM", 3000],
    ["SIGKILL", 3000],
  ] as const) {
    process.kill(pid, signal);
    if (await waitForEnd(pid, patience, clock)) return;
  }
}
