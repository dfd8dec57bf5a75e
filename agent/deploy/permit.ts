import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { AppSettings } from "../settings.ts";

const unchanged = "Nothing was unpacked; the live release goes on serving.";

/**
 * A repository chooses only among what the host's owner allows. What it asks for and may not have is refused before
 * anything is unpacked.
 * @throws CutoverError listen_not_allowed, domain_not_allowed, with the line of the host file that would allow it
 */
export function permit(config: Config, settings: AppSettings): void {
  const addresses = settings.listen.map(String);
  const refusedAddress = config.site.listen?.find((address) => !addresses.includes(String(address)));
  if (refusedAddress !== undefined) {
    throw new CutoverError(
      "listen_not_allowed",
      `The host does not allow ${settings.app} to listen on ${refusedAddress}; it allows ${addresses.join(", ")}.`,
      {
        unchanged,
        fix: `In ${settings.file} on the host, write: listen: [${[...addresses, refusedAddress].join(", ")}]`,
      },
    );
  }
  const refusedName = config.site.server_name?.find((name) => !domainAllowed(name, settings.domains));
  if (refusedName !== undefined) {
    const allowed = settings.domains.length === 0 ? "none" : settings.domains.join(", ");
    throw new CutoverError(
      "domain_not_allowed",
      `The host does not allow ${settings.app} the domain ${refusedName}; it allows ${allowed}.`,
      {
        unchanged,
        fix: `In ${settings.file} on the host, write: domains: [${[...settings.domains, refusedName].map((name) => JSON.stringify(name)).join(", ")}]`,
      },
    );
  }
}

function domainAllowed(name: string, domains: string[]): boolean {
  return domains.some(
    (domain) => domain === "*" || domain === name || (domain.startsWith("*.") && name.endsWith(domain.slice(1))),
  );
}
