import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";

/** The server itself lives on and starts its workers again and again, or waits for them for ever. Only its log shows it. */

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

/** Whether the instance's workers end as soon as they start, so that waiting is of no use. */
export async function workersEnd(ports: Ports, spec: RunSpec, instance: string): Promise<boolean> {
  const { kind, workers } = spec.config.server;
  const sign = kind === undefined ? undefined : signs[kind];
  if (sign === undefined) return false;
  const tails = await ports.logs.tail(spec.app, spec.run, logLines).catch(() => []);
  const text = tails.find(({ source }) => source === instance)?.text ?? "";
  return (text.match(sign.line)?.length ?? 0) >= sign.tooMany(workers);
}
