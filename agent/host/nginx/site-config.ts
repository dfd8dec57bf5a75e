import { type Config, siteOf } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { logBlocks } from "./access-log.ts";
import type { NginxFeatures } from "./features.ts";
import { type Front, frontMaps, passedMap, visitorOf } from "./front.ts";
import type { OwnHeaders } from "./locations.ts";
import { type Names, names, type Places } from "./names.ts";
import { ownVisitMap, requestLogFormat } from "./request-log.ts";
import { type MainServer, mainServers, type PreviewServer, previewServer, speaksQuic } from "./server-block.ts";
import { ownUpstream, previewUpstream } from "./upstream-config.ts";
import { block, plain, quoted, quotedText } from "./values.ts";
import { type Access, type DrainPath, hstsMap, limitZone } from "./visits.ts";

/** What a site's text is made of. Rendering checks every value again. */
export interface SiteInput extends Places {
  app: string;
  main: MainServer | null;
  preview: PreviewServer | null;
  nginx: NginxFeatures;
  front: Front;
  access: Access;
  /** Whether the main upstream has peers. */
  passes: boolean;
  /** Whether the host's owner wants HTTP/3. */
  http3: boolean;
  /** Where a load balancer asks whether the host takes visitors. */
  drainPath: DrainPath | undefined;
}

export function siteFileName(app: string): string {
  return `cutover-${app}.conf`;
}

/**
 * The exact text of an app's site; undefined if there is no server block to write.
 * @throws CutoverError config_invalid for a value that nginx could read as something other than a value
 */
export function renderSite({ main, preview, ...given }: SiteInput): string | undefined {
  const own = main?.config.site === "none" ? null : main;
  const { app, home, front, passes } = given;
  const known = names(app);
  const choice =
    own === null ? [] : previewChoice(known, own.config, { shown: preview?.config, usual: passes ? known.own : app });
  const visitor = visitorOf(front, known);
  const site = own === null ? undefined : siteOf(own.config);
  // HTTP/3 came with 1.25, and not every build has it: such a site does without.
  const http3 = given.http3 && given.nginx.modules.has("http_v3_module");
  const headers: OwnHeaders = {
    ...(site?.hsts === undefined ? {} : { "Strict-Transport-Security": known.hsts }),
    ...(own === null ? {} : altSvc(own.listen.filter((address) => speaksQuic({ front, http3 }, address)))),
  };
  const context = { ...given, http3, names: known, visitor, own: headers };
  const servers = [
    ...(own === null ? [] : mainServers({ ...context, chosen: choice.length > 0 }, own)),
    ...(preview === null ? [] : previewServer(context, preview)),
  ];
  if (servers.length === 0) return undefined;
  const sites = [own, preview].flatMap((server) => (server === null ? [] : [siteOf(server.config)]));
  const blocks = [
    ...frontMaps(front, known),
    ...(sites.some(({ upgrade }) => upgrade) ? [connectionMap(known)] : []),
    ...(site === undefined ? [] : hstsMap(known, site, visitor)),
    ...(passes ? [passedMap(app, ownUpstream(app), known)] : []),
    ...limitZone(known, sites),
    ...logBlocks(home, known, sites),
    ...choice,
    ...(own === null ? [] : [...requestLogFormat(known), ownVisitMap(given.requests, known)]),
    ...servers,
  ];
  return `# Written by cutover. Changes are lost.\n${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** Tells browsers that the site speaks HTTP/3; on 443 if there are several addresses. They ask for it by TCP first. */
function altSvc(listen: ListenAddress[]): OwnHeaders {
  const ports = listen.map(portOf);
  const port = ports.includes(443) ? 443 : ports[0];
  return port === undefined ? {} : { "Alt-Svc": quotedText(`h3=":${port}"; ma=86400`) };
}

/** The Connection header for the instance: `upgrade` if the visitor asked for it, otherwise `close`. */
function connectionMap({ connection }: Names): string[] {
  return block(`map $http_upgrade ${connection}`, ["default upgrade;", '"" close;']);
}

/**
 * Passes visitors with the preview's cookie or header to its upstream. By regular expressions, because a map ignores the case
 * of strings.
 */
function previewChoice(
  { app, upstream, header, release }: Names,
  live: Config,
  { shown, usual }: { shown: Config | undefined; usual: string },
): string[][] {
  const preview = shown && siteOf(shown).preview;
  if (shown === undefined || preview === undefined || protocolOf(shown.server) !== protocolOf(live.server)) return [];
  const chosen = previewUpstream(app);
  const maps: string[][] = [];
  // If there are two ways, the second starts with what the first has found.
  let found: string = usual;
  if (preview.header !== undefined) {
    const [name = "", value = ""] = preview.header.split(": ");
    const to = preview.cookie === undefined ? upstream : header;
    maps.push(mapBlock(`$http_${plain(name).toLowerCase().replaceAll("-", "_")}`, to, value, { found, chosen }));
    found = to;
  }
  if (preview.cookie !== undefined) {
    const [name = "", value = ""] = preview.cookie.split("=");
    maps.push(mapBlock(`$cookie_${plain(name)}`, upstream, value, { found, chosen }));
  }
  if (maps.length === 0) return [];
  return [...maps, block(`map ${upstream} ${release}`, ["default current;", `${quoted(chosen)} staged;`])];
}

function mapBlock(
  from: string,
  to: string,
  value: string,
  { found, chosen }: { found: string; chosen: string },
): string[] {
  return block(`map ${from} ${to}`, [`default ${found};`, `"~^${plain(value)}$" ${chosen};`]);
}
