import { type Config, siteOf } from "../shared/config.ts";
import { CutoverError } from "../shared/errors.ts";
import type { AppSettings } from "./settings.ts";

/** Where an app's site listens and what it answers to. */
export interface PermittedSite {
  listen: (string | number)[];
  /** Empty: the default server of its addresses. */
  serverNames: string[];
}

const unchanged = "Nothing was unpacked; the live release goes on serving.";

/**
 * A repository chooses only among what the host's owner allows. Asked before anything is unpacked, and again by the side
 * that writes the site.
 * @throws CutoverError listen_not_allowed, domain_not_allowed, with the line of the host file that would allow it
 */
export function permit(config: Pick<Config, "site">, settings: AppSettings): PermittedSite {
  const site = siteOf(config);
  const addresses = settings.listen.map(String);
  const address = site.listen?.find((wanted) => !addresses.includes(String(wanted)));
  if (address !== undefined) {
    throw new CutoverError(
      "listen_not_allowed",
      `The host does not allow ${settings.app} to listen on ${address}; it allows ${addresses.join(", ")}.`,
      { unchanged, fix: `In ${settings.file} on the host, write: listen: [${[...addresses, address].join(", ")}]` },
    );
  }
  const name = site.server_name?.find((wanted) => !settings.domains.some((allowed) => covers(allowed, wanted)));
  if (name !== undefined) {
    const allowed = settings.domains.length === 0 ? "none" : settings.domains.join(", ");
    const domains = [...settings.domains, name].map((domain) => JSON.stringify(domain));
    throw new CutoverError(
      "domain_not_allowed",
      `The host does not allow ${settings.app} the domain ${name}; it allows ${allowed}.`,
      { unchanged, fix: `In ${settings.file} on the host, write: domains: [${domains.join(", ")}]` },
    );
  }
  return {
    listen: site.listen ?? settings.listen,
    serverNames: site.server_name ?? settings.domains.filter((domain) => domain !== "*"),
  };
}

function covers(allowed: string, name: string): boolean {
  return allowed === "*" || allowed === name || (allowed.startsWith("*.") && name.endsWith(allowed.slice(1)));
}
