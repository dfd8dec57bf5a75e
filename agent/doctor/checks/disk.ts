import prettyBytes from "pretty-bytes";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

export function disk({ disk, settings }: HostFacts): Finding[] {
  if (disk === undefined) return [];
  const { free: kept } = settings.limits;
  const fix = "Free some, keep fewer releases (`keep` in cutover.yml), or give `data` in agent.yml a larger disk.";
  const found: Finding[] = [];
  if (disk.free < kept * 3) {
    const make = disk.free < kept ? error : warning;
    found.push(
      make("disk", {
        what: `${disk.path} has ${size(disk.free)} free; limits.free keeps ${size(kept)}.`,
        why: disk.free < kept ? "Every deploy is refused." : "A deploy whose files do not fit above that is refused.",
        fix,
      }),
    );
  }
  if (disk.inodes < 20_000) {
    found.push(
      warning("disk", {
        what: `The file system of ${disk.path} can hold ${disk.inodes} more files.`,
        why: "A release with its environment has thousands.",
        fix,
      }),
    );
  }
  return found;
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}
