import prettyBytes from "pretty-bytes";
import type { HostFacts, MountFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

export function disk({ disk, settings }: HostFacts): Finding[] {
  if (disk === undefined) return [];
  const { free: kept } = settings.limits;
  const fix =
    "Free some space, keep fewer releases (`keep` in cutover.yml), or move `data` in agent.yml to a larger disk.";
  const found: Finding[] = mountFindings(disk.path, disk.mount);
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

/** What a hardened or a failing host does to the file system of the releases. */
function mountFindings(path: string, mount: MountFacts | undefined): Finding[] {
  const found: Finding[] = [];
  if (mount?.options.includes("ro")) {
    found.push(
      error("disk", {
        what: `The file system of ${path} (${mount.at}) is read-only.`,
        why: "Linux makes it so when its disk fails. Nothing can be deployed, and the agent cannot record what it does.",
        fix: `\`dmesg\` says whether the disk fails. If not: \`mount -o remount,rw ${mount.at}\`, and correct /etc/fstab.`,
      }),
    );
  }
  if (mount?.options.includes("noexec")) {
    found.push(
      warning("disk", {
        what: `The file system of ${path} (${mount.at}) is mounted with noexec.`,
        why: "Packages with compiled code cannot be loaded from there (`failed to map segment from shared object`), and no program of an environment starts by its own name.",
        fix: `\`mount -o remount,exec ${mount.at}\`, and the same in /etc/fstab; or move \`data\` in agent.yml to another file system.`,
      }),
    );
  }
  return found;
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}
