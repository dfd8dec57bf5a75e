import { type Config, siteOf } from "../shared/config.ts";
import { protocolOf } from "../shared/config-server.ts";
import type { Site } from "../shared/config-site.ts";
import type { ListenAddress } from "../shared/config-values.ts";
import { CutoverError, type ErrorCode } from "../shared/errors.ts";
import type { AppSettings } from "./settings.ts";
import { parsePortRange, type TlsFiles } from "./settings-values.ts";

/** Where an app's site listens, which names it answers to, and what it needs of the host for that. */
export interface PermittedSite {
  listen: ListenAddress[];
  /** Empty: it is the default server of its addresses. */
  serverNames: string[];
  /** The certificate for addresses with ssl: `auto` if the agent gets it, undefined if the host has none for the app. */
  tls: TlsFiles | "auto" | undefined;
  /** The directory of ACME challenges. */
  acmeChallenge: string | undefined;
}

const unchanged = "Nothing was unpacked; the live release goes on serving.";

/** The live run, the new one, and one that is staged or still warm. */
const runsAtOnce = 3;

/**
 * Checks that a repository chooses only what the host's owner allows, before anything is unpacked. The side that writes the
 * site and chooses the ports checks again.
 * @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing, ports_not_allowed, with
 * the line of the host file that would allow it
 */
export function assertHostPolicy(config: Pick<Config, "site" | "server">, settings: AppSettings): void {
  permittedSite(config, settings);
  permittedPorts(config, settings);
  assertPeersSpeak(config, settings);
}

/** The hosts of an app that this host's nginx passes requests to, and the weight of its own instances next to them. */
export function peersOf(site: Pick<Site, "peers" | "weight">, settings: AppSettings): Pick<Site, "peers" | "weight"> {
  return { peers: settings.pass_to ?? site.peers, weight: settings.weight ?? site.weight };
}

/**
 * nginx passes to one upstream in one protocol, and the nginx of another host does not take uwsgi.
 * @throws CutoverError config_invalid
 */
function assertPeersSpeak({ site, server }: Pick<Config, "site" | "server">, settings: AppSettings): void {
  if (protocolOf(server) !== "uwsgi" || peersOf(siteOf({ site }), settings).peers.length === 0) return;
  throw new CutoverError(
    "config_invalid",
    `${settings.app} speaks uwsgi with nginx, and its requests are passed to other hosts as well, whose nginx speaks HTTP.`,
    { unchanged, fix: "In cutover.yml, write `protocol: http` below `server`: uWSGI speaks HTTP too." },
  );
}

/** @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing */
export function permittedSite(config: Pick<Config, "site">, settings: AppSettings): PermittedSite {
  const served = servedSite(config, settings);
  const site = siteOf(config);
  const own = config.site === "none" ? [] : (site.listen ?? settings.listen);
  const preview = site.preview?.listen === undefined ? [] : [site.preview.listen];
  permitAll(settings, "listen", own.map(String), { code: "listen_not_allowed", what: "to listen on" });
  permitAll(settings, "preview", preview.map(String), { code: "listen_not_allowed", what: "a preview on" });
  permitNames(settings, [...(site.server_name ?? []), ...Object.keys(site.redirects)]);
  const secure = [...own, ...preview].find(isSecure);
  if (secure !== undefined && settings.tls === undefined) throw certificateMissing(settings, secure);
  if (secure !== undefined && settings.tls === "auto")
    assertObtainable(served.listen, certifiedNames(config, settings), settings);
  return served;
}

/**
 * The same for a site that nginx has already, with the names and addresses that the host allowed at that time. Its upstream is
 * written again at each move of the traffic, so its peers must be allowed still.
 * @throws CutoverError peer_not_allowed
 */
export function servedSite(config: Pick<Config, "site">, settings: AppSettings): PermittedSite {
  const site = siteOf(config);
  const peers = settings.pass_to === undefined ? site.peers.map(({ server }) => server) : [];
  permitAll(settings, "peers", peers, { code: "peer_not_allowed", what: "to pass requests to" });
  return {
    listen: site.listen ?? settings.listen,
    serverNames: (site.server_name ?? settings.domains).filter(
      (name) => name !== "*" && !Object.hasOwn(site.redirects, name),
    ),
    tls: settings.tls,
    acmeChallenge: settings.acme_challenge,
  };
}

/** The names that a certificate of the site is for: its own, and those that are sent on to them. */
export function certifiedNames(config: Pick<Config, "site">, settings: AppSettings): string[] {
  const { serverNames } = servedSite(config, settings);
  return [...serverNames.filter((name) => name !== "_"), ...Object.keys(siteOf(config).redirects)];
}

/** All ports that the host's owner allows an app's instances, in the order of the settings. */
export function allowedPorts({ ports = [] }: Pick<AppSettings, "ports">): number[] {
  const all = [ports].flat().flatMap((range) => {
    const { first, last } = parsePortRange(range);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(all)];
}

/**
 * The ports that the app's instances may listen on. None are needed if they bind sockets.
 * @throws CutoverError ports_not_allowed
 */
export function permittedPorts({ server }: Pick<Config, "server">, settings: AppSettings): number[] {
  const allowed = allowedPorts(settings);
  if (server.bind !== "port") return allowed;
  const needed = server.instances * runsAtOnce;
  const count = allowed.length;
  if (count >= needed) return allowed;
  const has = count === 0 ? "it allows none" : `it allows ${count}`;
  throw new CutoverError(
    "ports_not_allowed",
    `${settings.app} needs ${needed} ports on the host for ${server.instances} instances, and ${has}: the live release, the new one, and one that is staged or still warm run at the same time.`,
    {
      unchanged,
      fix: `In ${settings.file} on the host, write: ports: "9000-${9000 + Math.max(needed, 100) - 1}" (any range that nothing else uses), or \`bind: socket\` in cutover.yml.`,
    },
  );
}

/** Whether nginx terminates TLS at this address. */
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

/** @throws CutoverError domain_not_allowed */
export function permitNames(settings: Pick<AppSettings, "app" | "file" | "domains">, names: string[]): void {
  const name = names.find((wanted) => !settings.domains.some((allowed) => covers(allowed, wanted)));
  if (name === undefined) return;
  const domains = [...settings.domains, name].map((domain) => JSON.stringify(domain));
  throw new CutoverError(
    "domain_not_allowed",
    `The host does not allow ${settings.app} the domain ${name}; it allows ${listed(settings.domains)}.`,
    { unchanged, fix: `In ${settings.file} on the host, write: domains: [${domains.join(", ")}]` },
  );
}

/** An authority asks each name over plain HTTP for the answer to its challenge. @throws CutoverError certificate_missing */
function assertObtainable(listen: ListenAddress[], names: string[], { app, file }: AppSettings): void {
  const refused = (what: string, fix: string) =>
    new CutoverError("certificate_missing", `\`tls: auto\` gets no certificate for ${app}: ${what}.`, {
      unchanged,
      fix,
    });
  const wildcard = names.find((name) => name.startsWith("*."));
  if (names.length === 0)
    throw refused("its site has no name", `In ${file} on the host, write: domains: [shop.example.com]`);
  if (wildcard !== undefined) {
    throw refused(
      `${wildcard} can be proven by DNS alone`,
      `Write each name into site.server_name of cutover.yml; or get the certificate with another client, and name its files under tls in ${file}.`,
    );
  }
  if (listen.every(isSecure)) {
    throw refused(
      "its site has no address without ssl, where the authority asks",
      `In ${file} on the host, write: listen: [${[80, ...listen].join(", ")}]`,
    );
  }
}

function certificateMissing({ app, file }: AppSettings, address: ListenAddress): CutoverError {
  const live = "/etc/letsencrypt/live/NAME";
  return new CutoverError(
    "certificate_missing",
    `The host has no certificate for ${app}, which listens on ${address}.`,
    {
      unchanged,
      fix: `In ${file} on the host, write: tls: auto; or name the files of another client: tls: { certificate: ${live}/fullchain.pem, key: ${live}/privkey.pem }`,
    },
  );
}

function listed(allowed: string[]): string {
  return allowed.length === 0 ? "none" : allowed.join(", ");
}

/** A value as YAML. Only one that starts with a bracket needs quotes. */
function yaml(value: string): string {
  return value.startsWith("[") ? JSON.stringify(value) : value;
}

function covers(allowed: string, name: string): boolean {
  return allowed === "*" || allowed === name || (allowed.startsWith("*.") && name.endsWith(allowed.slice(1)));
}
