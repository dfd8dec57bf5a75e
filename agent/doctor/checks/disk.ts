import prettyBytes from "pretty-bytes";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

export function disk({ disk, settings }: HostFacts): Finding[] {
  if (disk === undefined) return [];
  const { free: kept } = settings.limits;
  const fix =
    "Free some space, keep fewer releases (`keep` in cutover.yml), or move `data` in agent.yml to a larger disk.";
  const found: Finding[] = [];
  if (disk.free < kept * 3) {
    const make = disk.free < kept ? error : warning;
    found.push(
      make("disk", {
        what: `${disk.path} has ${size(disk.free)} free; limits.free in agent.yml reserves ${size(kept)}.`,
        why:
          disk.free < kept
            ? "The agent refuses every deploy."
            : "The agent refuses a deploy whose files do not fit into the rest.",
        fix,
      }),
    );
  }
  if (disk.inodes < 20_000) {
    found.push(
      warning("disk", {
        what: `The file system of ${disk.path} has inodes for only ${disk.inodes} more files.`,
        why: "A release and its environment have thousands of files.",
        fix,
      }),
    );
  }
  return found;
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}
