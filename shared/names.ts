import { z } from "zod";

/** App: one deployable on a host. Also a file name, an nginx upstream name and part of a supervisor group name. */
export const appName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, "1 to 32 of a-z, 0-9 and -, with no - at either end");

/** Release id: when it was made (UTC) and the commit, or a hash of the content if there is no commit. */
export const releaseId = z.string().regex(/^\d{8}T\d{6}Z-[0-9a-f]{7}$/, "like 20261121T103000Z-3f2c1ab");

/**
 * Run id: one set of instances of a release. A redeploy starts a second set of the same release, so a run has a number.
 */
export const runId = z.string().regex(/^\d{8}T\d{6}Z-[0-9a-f]{7}(?:\.\d{1,6})?$/);

export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** @param made when the release was made; its milliseconds are dropped */
export function newReleaseId(made: Date, commitOrDigest: string): string {
  const stamp = made.toISOString().replace(/[-:]|\.\d+/g, "");
  return `${stamp}-${commitOrDigest.slice(0, 7)}`;
}

export function releaseOfRun(run: string): string {
  return run.split(".", 1)[0] ?? run;
}
