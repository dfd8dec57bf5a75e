import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

export function appSettings({ apps }: HostFacts): Finding[] {
  return apps.flatMap(({ app, faults }) =>
    faults.map((fault) =>
      error("app-settings", {
        what: fault,
        why: `The agent refuses every call for ${app} until it can read the settings.`,
        fix: "Correct the line; the agent reads the file again at each call.",
      }),
    ),
  );
}
