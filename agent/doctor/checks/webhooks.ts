import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described } from "../permissions.ts";

export function webhooks({ webhookFiles }: HostFacts): Finding[] {
  return webhookFiles.flatMap(({ named, path, problem, entry }): Finding[] => {
    if (problem !== undefined) {
      return [
        warning("webhooks", {
          what: `${path} ${problem} (${named}).`,
          why: "The agent cannot send this webhook, so its receiver does not learn how deployments end. Deployments go on.",
          fix: `Write the file so that only the agent's user can read it (0600), or correct ${named}.`,
        }),
      ];
    }
    if (entry === undefined || (entry.mode & 0o077) === 0) return [];
    return [
      error("webhooks", {
        what: `${path} holds a secret, and others than its owner may read or change it (${described(entry)}; ${named}).`,
        why: "Everybody who reads it can write to the channel, or sign messages as the agent.",
        fix: `\`chmod 0600 ${path}\`. If others had access to this host, change the secret too.`,
      }),
    ];
  });
}
