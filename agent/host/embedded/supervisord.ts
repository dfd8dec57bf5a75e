import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { commandLine, processRuns, readPidFile, waitForEnd } from "../exec/processes.ts";
import { listIfExists, readIfExists } from "../store/read-if-exists.ts";
import { stopSeconds, stopSecondsOf } from "../supervisor/programs-file.ts";
import type { Supervisor } from "../supervisor/supervisor.ts";
import { startDetached } from "./detached.ts";
import type { EmbeddedLayout } from "./files.ts";

/** Whether the supervisord of this directory answers. Waits for one that is starting or ending. @throws CutoverError supervisor_unreachable */
export async function supervisordRuns(
  { supervisor }: EmbeddedLayout,
  client: Supervisor,
  clock: Clock,
): Promise<boolean> {
  const deadline = clock.elapsed() + 10_000;
  for (;;) {
    const answering = await client.pid().catch(() => undefined);
    if (answering !== undefined) return true;
    const pid = await readPidFile(supervisor.pidFile);
    const runs = pid !== undefined && (await processRuns(pid)) && (await commandLine(pid)).includes(supervisor.conf);
    if (!runs) return false;
    if (clock.elapsed() > deadline) {
      throw new CutoverError(
        "supervisor_unreachable",
        `supervisord runs (process ${pid}), but does not answer on ${supervisor.socket}.`,
        {
          unchanged: "Nothing was changed.",
          fix: `Stop it (\`kill ${pid}\`) and start the agent again. Its log: ${supervisor.log}.`,
        },
      );
    }
    await clock.sleep(50);
  }
}

/** @throws CutoverError supervisor_config_broken, supervisor_unreachable */
export async function startSupervisord(
  { supervisor, log }: EmbeddedLayout,
  program: string,
  client: Supervisor,
  clock: Clock,
): Promise<void> {
  // A supervisord that was killed leaves its socket.
  await rm(supervisor.socket, { force: true });
  const daemon = await startDetached(program, ["-n", "-s", "-c", supervisor.conf], join(log, "supervisord.out"));
  const deadline = clock.elapsed() + 10_000;
  while ((await client.pid().catch(() => undefined)) === undefined) {
    const said = await daemon.ended();
    if (said !== undefined) {
      throw new CutoverError("supervisor_config_broken", `supervisord did not start: ${said.split("\n")[0]}`, {
        unchanged: "Nothing was changed.",
        fix: `Correct or remove the file that the message is about. The programs are in ${supervisor.confDir}.`,
        evidence: [{ source: "supervisord", text: said.slice(-4000) }],
      });
    }
    if (clock.elapsed() > deadline) {
      throw new CutoverError("supervisor_unreachable", "supervisord started, but does not answer.", {
        unchanged: "Nothing was changed.",
        fix: `Read its log: ${supervisor.log}.`,
      });
    }
    await clock.sleep(20);
  }
}

/** Stops it with its programs. No error if it does not run. @throws CutoverError supervisor_unreachable if it does not end */
export async function stopSupervisord({ supervisor }: EmbeddedLayout, client: Supervisor, clock: Clock): Promise<void> {
  const pid = await client.pid().catch(() => undefined);
  if (pid === undefined) return;
  await client.shutdown();
  if (await waitForEnd(pid, ((await longestStop(supervisor.confDir)) + 10) * 1000, clock)) return;
  throw new CutoverError("supervisor_unreachable", `supervisord (process ${pid}) did not end.`, {
    fix: `Read its log (${supervisor.log}) to find the program that it waits for.`,
  });
}

/** The longest time that a program may take to end, in seconds. */
async function longestStop(confDir: string): Promise<number> {
  const files = (await listIfExists(confDir)).map((name) => join(confDir, name));
  const texts = await Promise.all(files.map(readIfExists));
  return Math.max(stopSeconds, ...texts.map((text) => stopSecondsOf(text ?? "")));
}
