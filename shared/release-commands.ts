import type { ReleaseView } from "./protocol.ts";

/**
 * Releases that ran their release command after the one that gets the traffic again. What those commands did stays.
 * @param releases in the order in which they first had traffic
 */
export function commandsSince(releases: readonly ReleaseView[], target: string, live: string | null): string[] {
  const from = releases.findIndex(({ id }) => id === target);
  const to = releases.findIndex(({ id }) => id === live);
  if (from < 0) return [];
  return releases.slice(from + 1, to + 1).flatMap(({ id, commanded }) => (commanded === true ? [id] : []));
}

/** What a person should know before the traffic goes back over such a release, and while it does. */
export function notUndone(release: string): string {
  return `release ${release} ran its release command; a rollback does not undo it`;
}
