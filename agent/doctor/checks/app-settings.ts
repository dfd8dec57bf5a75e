import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

export function appSettings({ apps }: HostFacts): Finding[] {
  return apps.flatMap(({ app, faults }) =>
    faults.map((fault) =>
      error("app-settings", {
        what: fault,
        why: `Every call for ${app} is refused until its settings can be read.`,
        fix: "Correct the line; the agent reads the file anew at each call.",
      }),
    ),
  );
}
