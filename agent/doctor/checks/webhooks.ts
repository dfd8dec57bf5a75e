import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described } from "../permissions.ts";

export function webhooks({ webhookFiles }: HostFacts): Finding[] {
  return webhookFiles.flatMap(({ named, path, problem, entry }): Finding[] => {
    if (problem !== undefined) {
      return [
        warning("webhooks", {
          what: `${path} ${problem} (${named}).`,
          why: "This webhook is never sent, and nobody hears how deployments end. They themselves go on.",
          fix: `Write the file, for the agent's user alone (0600), or correct ${named}.`,
        }),
      ];
    }
    if (entry === undefined || (entry.mode & 0o077) === 0) return [];
    return [
      error("webhooks", {
        what: `${path} is a secret, and others than its owner may use it (${described(entry)}; ${named}).`,
        why: "Whoever reads it can write into the channel, or sign what the receiver takes for the agent's.",
        fix: `\`chmod 0600 ${path}\`; if others were here, change the secret too.`,
      }),
    ];
  });
}
