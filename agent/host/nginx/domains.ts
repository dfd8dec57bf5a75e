import { join } from "node:path";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { PermittedSite } from "../../host-policy.ts";
import type { AppSettings } from "../../settings.ts";
import { listIfExists, readIfExists } from "../store/read-if-exists.ts";
import { siteFileName } from "./site-config.ts";

/**
 * An address and a name that a server answers to there. nginx accepts the same pair from two servers, with a warning, and
 * visitors get the one that it reads first.
 */
export interface Domain {
  /** As one server of nginx's is known by it: `80`, `*:80` and `0.0.0.0:80` are the same. */
  address: string;
  /** `_` for the default server of its address, which nginx accepts only once. */
  name: string;
}

/** The domains of a site that is wanted. */
export function domainsOf({ listen, serverNames }: Pick<PermittedSite, "listen" | "serverNames">): Domain[] {
  const names = serverNames.length === 0 ? ["_"] : serverNames;
  return listen.flatMap((address) => names.map((name) => ({ address: sameAddress(address), name })));
}

/** The domains in a site's text, as renderSite makes it. */
export function domainsIn(text: string): Domain[] {
  return text.split(/^server \{$/m).flatMap((server) => {
    const addresses = [...server.matchAll(/^ {4}listen (\S+?)[ ;]/gm)].map(([, address = ""]) => sameAddress(address));
    const names = /^ {4}server_name (.+);$/m.exec(server)?.[1]?.split(" ") ?? [];
    return addresses.flatMap((address) => names.map((name) => ({ address, name })));
  });
}

/** The names in a site's text, as the host's file gives them: `*` for a default server. */
export function namesIn(text: string): string[] {
  const names = new Set(domainsIn(text).map(({ name }) => name));
  names.delete("_");
  return names.size === 0 ? ["*"] : [...names];
}

/**
 * Checks that no other app's site has a domain of these. What the app's own present site has is not asked: visitors would get
 * nothing else than they do.
 * @throws CutoverError domain_taken
 */
export async function assertDomainsFree(
  confDir: string,
  { app, file }: Pick<AppSettings, "app" | "file">,
  wanted: Domain[],
  unchanged: string,
): Promise<void> {
  const own = domainsIn((await readIfExists(join(confDir, siteFileName(app)))) ?? "");
  const asked = wanted.filter((domain) => !own.some((present) => isSame(present, domain)));
  if (asked.length === 0) return;
  for (const name of (await listIfExists(confDir)).toSorted()) {
    const other = appOfSiteFile(name);
    if (other === undefined || other === app) continue;
    const path = join(confDir, name);
    const theirs = domainsIn((await readIfExists(path)) ?? "");
    const taken = asked.find((domain) => theirs.some((present) => isSame(present, domain)));
    if (taken !== undefined) {
      throw domainTaken({ app, file }, taken, { app: other, file: path, unchanged });
    }
  }
}

function domainTaken(
  { app, file }: Pick<AppSettings, "app" | "file">,
  { address, name }: Domain,
  other: { app: string; file: string; unchanged: string },
): CutoverError {
  const what = name === "_" ? `the place of the default server on ${address}` : `the domain ${name} on ${address}`;
  return new CutoverError(
    "domain_taken",
    `${app} asks for ${what}, which the app ${other.app} has already (${other.file}).`,
    {
      unchanged: other.unchanged,
      fix: `Give ${app} a domain or an address of its own, in cutover.yml or in ${file} on the host; or take it from ${other.app} and deploy that first.`,
    },
  );
}

/** Neither an upstream's file nor a file that is kept next to a site ends like this: no app has a dot in its name. */
function appOfSiteFile(name: string): string | undefined {
  return /^cutover-([a-z0-9-]+)\.conf$/.exec(name)?.[1];
}

function isSame(one: Domain, other: Domain): boolean {
  return one.address === other.address && one.name === other.name;
}

function sameAddress(address: ListenAddress): string {
  const [place = ""] = String(address).split(" ");
  const [, host = "*", port] = /^(?:(.+):)?(\d+)$/.exec(place) ?? [];
  if (host === "localhost") return `127.0.0.1:${port}`;
  if (host === "*" || host === "0.0.0.0") return `*:${port}`;
  return host.startsWith("[") ? `${new URL(`http://${host}`).hostname}:${port}` : `${host}:${port}`;
}
