import { describe } from "vitest";
import { labImpossible } from "./lab.ts";

/** Tests on hosts of a lab. Where there can be none they are left out, and the report says why; in CI they must run. */
export function describeLab(title: string, tests: () => void): void {
  const reason = labImpossible();
  if (reason === undefined || process.env.CI === "true") describe(title, tests);
  else describe.skip(`${title} (left out: ${reason})`, tests);
}
