import { execFileSync } from "node:child_process";

/** The time of the sources in seconds since the epoch, so that every build of them gives the same bytes. */
export function sourceDate(): number {
  const given =
    process.env.SOURCE_DATE_EPOCH ?? execFileSync("git", ["log", "-1", "--format=%ct"], { encoding: "utf8" });
  if (!/^\d+\s*$/.test(given)) throw new Error("set SOURCE_DATE_EPOCH to seconds since the epoch");
  return Number(given);
}
