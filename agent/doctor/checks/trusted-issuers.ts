import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

export function trustedIssuers({ apps, settings }: HostFacts): Finding[] {
  const known = new Set(settings.github.map(({ issuer }) => issuer));
  return apps.flatMap(({ app, file, settings }) =>
    (settings?.trust ?? []).flatMap(({ github }): Finding[] => {
      if (github === undefined || (github.issuer === undefined ? known.size > 0 : known.has(github.issuer))) return [];
      return [
        error("trusted-issuers", {
          what: `${app} trusts ${github.repository} at ${github.issuer ?? "the first issuer"}, which \`github\` in agent.yml does not name.`,
          why: "The agent asks only those issuers for keys, so it refuses every token of this repository.",
          fix: `Add the issuer and its \`server\` to \`github\` in agent.yml and restart the agent, or correct \`issuer\` in ${file}.`,
        }),
      ];
    }),
  );
}
