import { readFileSync } from "node:fs";

/** A Debian that the lab's hosts can be, and the name by which debootstrap knows it. */
export interface Debian {
  version: "12" | "13";
  suite: string;
}

const debians: Debian[] = [
  { version: "12", suite: "bookworm" },
  { version: "13", suite: "trixie" },
];

/** @param version such as 13 @throws Error when the lab's hosts cannot be that */
export function debian(version: string): Debian {
  const found = debians.find((one) => one.version === version);
  if (found === undefined) throw new Error(`the lab's hosts are Debian 12 or 13, not ${version}`);
  return found;
}

/** What the hosts are: CUTOVER_LAB_DEBIAN, otherwise the release of this machine, and 12 where that is another one. */
export function usualDebian(): Debian {
  const asked = process.env.CUTOVER_LAB_DEBIAN;
  if (asked) return debian(asked);
  const [, machine] = /^VERSION_ID="?(\d+)/m.exec(readFileSync("/etc/os-release", "utf8")) ?? [];
  return debians.find(({ version }) => version === machine) ?? debian("12");
}

/** For tests of what differs between releases: units, packages, reboots. Both, unless CUTOVER_LAB_DEBIAN asks for one alone. */
export function eachDebian(): Debian[] {
  return process.env.CUTOVER_LAB_DEBIAN ? [usualDebian()] : debians;
}
