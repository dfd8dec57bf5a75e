import { describe } from "vitest";
import { type Debian, eachDebian, usualDebian } from "./debian.ts";
import { labImpossible } from "./lab.ts";

/** Tests on hosts of a lab. Where there can be none they are left out, and the report says why; in CI they must run. */
export function describeLab(title: string, tests: () => void): void {
  describeOn(usualDebian(), title, tests);
}

/** The same on each Debian of the lab. */
export function describeLabs(title: string, tests: (debian: Debian) => void): void {
  for (const debian of eachDebian()) describeOn(debian, `${title}, Debian ${debian.version}`, () => tests(debian));
}

export function describeOn(debian: Debian, title: string, tests: () => void): void {
  const reason = labImpossible(debian);
  if (reason === undefined || process.env.CI === "true") describe(title, tests);
  else describe.skip(`${title} (left out: ${reason})`, tests);
}
