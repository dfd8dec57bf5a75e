import prettyBytes from "pretty-bytes";
import type { StoreFault, VerifyView } from "../../../shared/protocol.ts";
import { type Style, safe } from "./terminal.ts";

/** What `cutover verify` says of one app. */
export function renderVerified({ app, releases, files, bytes, faults, more }: VerifyView, style: Style): string {
  const count = releases.length === 1 ? "1 release" : `${releases.length} releases`;
  const seen = `${count}, ${files.toLocaleString("en")} files, ${prettyBytes(bytes)} hashed`;
  if (faults.length === 0) return `${app}: all as it was unpacked (${seen}).`;
  const rest = more === 0 ? [] : [`  and ${more} more`];
  const lines = faults.map((fault) => `  ${safe(nameOf(fault))}: ${fault.what}`);
  return [style("red", `${app}: not as it was unpacked (${seen}):`), ...lines, ...rest, verifiedFix(faults)].join("\n");
}

function nameOf({ release, path }: StoreFault): string {
  return release === undefined ? path : `releases/${release}/${path}`;
}

/** What a person does about it. */
export function verifiedFix(faults: StoreFault[]): string {
  const releases = [...new Set(faults.flatMap(({ release }) => release ?? []))];
  const own = releases.length === 0 ? "" : ` Do not go back to ${releases.join(", ")}.`;
  return `Deploy again: the new release gets these files from the workflow, and no file that differs.${own} Then find out what changed them: only the agent's user and root can, or the disk fails.`;
}
