import { type Config, siteOf } from "../shared/config.ts";
import type { ListenAddress } from "../shared/config-values.ts";
import { CutoverError, type ErrorCode } from "../shared/errors.ts";
import type { AppSettings } from "./settings.ts";

/** Where an app's site listens and what it answers to, with what of the host it needs for that. */
export interface PermittedSite {
  listen: ListenAddress[];
  /** Empty: the default server of its addresses. */
  serverNames: string[];
  /** The certificate of the addresses with ssl; undefined where there is none. */
  tls: AppSettings["tls"];
  acmeChallenge: string | undefined;
}

const unchanged = "Nothing was unpacked; the live release goes on serving.";

/**
 * A repository chooses only among what the host's owner allows. Asked before anything is unpacked, and again by the side
 * that writes the site.
 * @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing, with the line of the
 * host file that would allow it
 */
export function permit(config: Pick<Config, "site">, settings: AppSettings): PermittedSite {
  const site = siteOf(config);
  const own = config.site === "none" ? [] : (site.listen ?? settings.listen);
  const preview = site.preview?.listen === undefined ? [] : [site.preview.listen];
  permitAll(settings, "listen", own.map(String), { code: "listen_not_allowed", what: "to listen on" });
  permitAll(settings, "preview", preview.map(String), { code: "listen_not_allowed", what: "a preview on" });
  permitNames(settings, site.server_name ?? []);
  const peers = site.peers.map(({ server }) => server);
  permitAll(settings, "peers", peers, { code: "peer_not_allowed", what: "to pass requests to" });
  const secure = [...own, ...preview].find(isSecure);
  if (secure !== undefined && settings.tls === undefined) throw certificateMissing(settings, secure);
  return {
    listen: site.listen ?? settings.listen,
    serverNames: site.server_name ?? settings.domains.filter((domain) => domain !== "*"),
    tls: settings.tls,
    acmeChallenge: settings.acme_challenge,
  };
}

/** Whether nginx ends TLS there. */
export function isSecure(address: ListenAddress): boolean {
  return String(address).endsWith(" ssl");
}

function permitAll(
  settings: AppSettings,
  key: "listen" | "preview" | "peers",
  wanted: string[],
  { code, what }: { code: ErrorCode; what: string },
): void {
  const allowed = settings[key].map(String);
  const refused = wanted.find((one) => !allowed.includes(one));
  if (refused === undefined) return;
  throw new CutoverError(
    code,
    `The host does not allow ${settings.app} ${what} ${refused}; it allows ${listed(allowed)}.`,
    {
      unchanged,
      fix: `In ${settings.file} on the host, write: ${key}: [${[...allowed, refused].map(yaml).join(", ")}]`,
    },
  );
}

function permitNames(settings: AppSettings, names: string[]): void {
  const name = names.find((wanted) => !settings.domains.some((allowed) => covers(allowed, wanted)));
  if (name === undefined) return;
  const domains = [...settings.domains, name].map((domain) => JSON.stringify(domain));
  throw new CutoverError(
    "domain_not_allowed",
    `The host does not allow ${settings.app} the domain ${name}; it allows ${listed(settings.domains)}.`,
    { unchanged, fix: `In ${settings.file} on the host, write: domains: [${domains.join(", ")}]` },
  );
}

function certificateMissing({ app, file }: AppSettings, address: ListenAddress): CutoverError {
  const live = "/etc/letsencrypt/live/NAME";
  return new CutoverError(
    "certificate_missing",
    `The host has no certificate for ${app}, which listens on ${address}.`,
    {
      unchanged,
      fix: `In ${file} on the host, write: tls: { certificate: ${live}/fullchain.pem, key: ${live}/privkey.pem }`,
    },
  );
}

function listed(allowed: string[]): string {
  return allowed.length === 0 ? "none" : allowed.join(", ");
}

/** Only what starts with a bracket is more than a word to YAML. */
function yaml(value: string): string {
  return value.startsWith("[") ? JSON.stringify(value) : value;
}

function covers(allowed: string, name: string): boolean {
  return allowed === "*" || allowed === name || (allowed.startsWith("*.") && name.endsWith(allowed.slice(1)));
}
