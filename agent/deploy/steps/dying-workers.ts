import { mostWorkers } from "../../../shared/config-server.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { StartFailure } from "./start-failure.ts";

/** The server itself lives on and starts its workers again and again, or waits for them for ever. Only its log shows it. */

/** What gunicorn-program.ts says if it has another number than the usual one. */
const counted = /^cutover: gunicorn has (\d+) workers$/m;

const pollMs = 1000;
const logLines = 400;

/** How each kind of server says that it starts a worker, or that one has ended, and how many of these lines are too many. */
const signs: Record<string, { line: RegExp; tooMany(workers: number): number } | undefined> = {
  // A boot that is well has one for each worker.
  gunicorn: { line: /\[INFO\] Booting worker with pid: \d+/g, tooMany: (workers) => 3 * workers + 4 },
  uwsgi: { line: /^Respawned uWSGI worker \d+/gm, tooMany: () => 4 },
  // uvicorn's parent does not start them again, or not before it has waited.
  uvicorn: {
    line: /^Process SpawnProcess-\d+:$|Child process \[\d+\] died/gm,
    tooMany: (workers) => workers,
  },
};

/**
 * Looks at an instance's log until the signal. Only what comes while it looks counts: an instance that is up for hours may have
 * recycled its workers.
 * @throws StartFailure if its workers end as soon as they start, so that waiting is of no use
 */
export async function watchWorkers(ports: Ports, spec: RunSpec, instance: string, signal: AbortSignal): Promise<never> {
  const { kind, workers } = spec.config.server;
  let most = typeof workers === "number" ? workers : undefined;
  const sign = kind === undefined ? undefined : signs[kind];
  const count = async () => {
    if (sign === undefined) return 0;
    const tails = await ports.logs.tail(spec.app, spec.run, logLines).catch(() => []);
    const text = tails.find(({ source }) => source === instance)?.text ?? "";
    most ??= Number(text.match(counted)?.[1] ?? 0) || undefined;
    return text.match(sign.line)?.length ?? 0;
  };
  const before = await count();
  for (;;) {
    await ports.clock.sleep(pollMs, signal);
    if (
      sign !== undefined &&
      (await count()) - before >= sign.tooMany(most ?? (workers === "auto" ? mostWorkers : 2))
    ) {
      throw new StartFailure({ kind: "workers end", instance });
    }
  }
}
