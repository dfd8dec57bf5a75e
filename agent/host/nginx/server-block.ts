import { type Config, siteOf } from "../../../shared/config.ts";
import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { isSecure, type PermittedSite } from "../../host-policy.ts";
import type { TlsFiles } from "../../settings-values.ts";
import { logDirectives } from "./access-log.ts";
import { acmeLocations, type ChallengeDirectories } from "./acme-locations.ts";
import { errorPage, errorPages } from "./error-pages.ts";
import { atLeast, type NginxFeatures } from "./features.ts";
import { type Front, realIp, type Visitor } from "./front.ts";
import { headers, type OwnHeaders, proxyPass, sharedLocation } from "./locations.ts";
import type { Names, Places } from "./names.ts";
import { requestLog } from "./request-log.ts";
import { appLocation, staticLocations } from "./static-locations.ts";
import { mainUpstream, previewUpstream } from "./upstream-config.ts";
import { block, plain, quoted, quotedWith } from "./values.ts";
import { type Access, accessDirectives, type DrainPath, drainLocation, limitDirectives } from "./visits.ts";

/** What the host gives a site, with the files of a certificate, if there is one by now. */
export interface ServedSite extends Omit<PermittedSite, "tls">, ChallengeDirectories {
  tls: TlsFiles | undefined;
}

export interface MainServer extends ServedSite {
  config: Config;
}

export interface PreviewServer extends Pick<ServedSite, "tls"> {
  config: Config;
}

/** What all server blocks of one site need. */
export interface ServerContext extends Places {
  app: string;
  nginx: NginxFeatures;
  names: Names;
  front: Front;
  visitor: Visitor;
  access: Access;
  own: OwnHeaders;
  /** Whether requests are passed to peers as well. */
  passes: boolean;
  /** Whether addresses with TLS speak HTTP/3 as well. */
  http3: boolean;
  /** Where a load balancer asks whether the host takes visitors. */
  drainPath: DrainPath | undefined;
}

/** The site: one server block, or one for TLS and one that redirects to it. */
export function mainServers(context: ServerContext & { chosen: boolean }, main: MainServer): string[][] {
  const { config, listen } = main;
  const secure = listen.filter(isSecure);
  const open = listen.filter((address) => !isSecure(address));
  const redirects = siteOf(config).https_redirect && secure.length > 0 && open.length > 0;
  const names = byProtocol(context, listen, (some) => some).flatMap((some) => nameServers(context, main, some));
  const site = redirects
    ? [
        ...byProtocol(context, open, (some) =>
          context.front.trusted.length === 0
            ? redirectServer(context, main, some, secure)
            : siteServer(context, main, some, httpsPort(secure)),
        ),
        ...byProtocol(context, secure, (some) => siteServer(context, main, some)),
      ]
    : byProtocol(context, listen, (some) => siteServer(context, main, some));
  return [...site, ...names];
}

/** One server for each name that others are sent on to, at these addresses. */
function nameServers(context: ServerContext, main: MainServer, listen: ListenAddress[]): string[][] {
  const { config, listen: all, tls } = main;
  const site = siteOf(config);
  const targets = Map.groupBy(Object.entries(site.redirects), ([, target]) => target);
  return [...targets].map(([target, sources]) => {
    const from = sources.map(([name]) => name);
    const [scheme, port] = originOf(context, all, site.https_redirect);
    return block("server", [
      ...listenDirectives(context, listen, from, tls),
      ...logDirectives(context.logDir, site, context.app, context.names),
      "server_tokens off;",
      ...headers(site, context.own),
      ...(listen.every(isSecure) ? [] : acmeLocations(context.access, main)),
      "",
      ...block("location /", [`return 301 ${scheme}://${plain(target)}${port}$request_uri;`]),
    ]);
  });
}

/** How visitors are sent on to a name of this site: the scheme, and the port after the name. Proxies in front know the port. */
function originOf({ front, visitor }: ServerContext, listen: ListenAddress[], redirect: boolean): [string, string] {
  const secure = listen.filter(isSecure);
  if (front.trusted.length > 0) return [secure.length > 0 && redirect ? "https" : visitor.scheme, ""];
  if (secure.length > 0) return redirect ? ["https", httpsPort(secure)] : ["$scheme", ""];
  const open = listen.map(portOf);
  return ["http", open.includes(80) ? "" : `:${open[0]}`];
}

/** A server for the addresses that speak the PROXY protocol, and one for the others: each learns of its visitors in one way. */
function byProtocol<T>(context: ServerContext, listen: ListenAddress[], server: (some: ListenAddress[]) => T): T[] {
  const groups = [false, true].map((protocol) => listen.filter((one) => speaksProtocol(context, one) === protocol));
  return groups.filter((some) => some.length > 0).map(server);
}

/** HTTP/3 has no PROXY protocol: such an address gets its visitors from a balancer. */
export function speaksQuic(context: Pick<ServerContext, "front" | "http3">, address: ListenAddress): boolean {
  return context.http3 && isSecure(address) && !speaksProtocol(context, address);
}

const placeOf = (address: ListenAddress): string => String(address).split(" ")[0] ?? "";

function speaksProtocol({ front }: Pick<ServerContext, "front">, address: ListenAddress): boolean {
  return front.proxyProtocol.includes(portOf(address));
}

function siteServer(
  context: ServerContext & { chosen: boolean },
  main: MainServer,
  listen: ListenAddress[],
  /** Behind proxies only who came by plain HTTP is sent to https, so the address serves the others. */
  redirect?: string,
): string[] {
  const { config, serverNames, tls } = main;
  const { names, chosen, passes } = context;
  return block("server", [
    ...listenDirectives(context, listen, serverNames, tls),
    ...logDirectives(context.logDir, siteOf(config), context.app, context.names, { counted: true }),
    "server_tokens off;",
    ...accessDirectives(context.access),
    ...optionDirectives(context, config),
    ...requestLog(context.app, context.requests, names, chosen ? previewUpstream(context.app) : undefined),
    ...maintenanceDirectives(context),
    ...errorPages(siteOf(config)),
    ...(redirect === undefined
      ? []
      : block(`if (${names.sent})`, [`return 301 https://$host${redirect}$request_uri;`])),
    ...(listen.every(isSecure) ? [] : acmeLocations(context.access, main)),
    ...drainLocation(context.home, context.drainPath),
    ...locations(context, config, {
      upstream: chosen ? names.upstream : passes ? names.own : mainUpstream(context.app),
      releases: [...(chosen ? [`/${names.release}`] : []), "/current", "/canary", "/previous"],
      closed: names.closed,
    }),
  ]);
}

/** The staged release, or the live one while none is staged. Maintenance does not close it: it shows what comes next. */
export function previewServer(shown: ServerContext, { config, tls }: PreviewServer): string[][] {
  const site = siteOf(config);
  // One with TLS waits for the first certificate.
  if (site.preview?.listen === undefined || (isSecure(site.preview.listen) && tls === undefined)) return [];
  // Browsers would take them for the whole name, whatever the port.
  const context = { ...shown, own: {}, http3: false };
  const server = block("server", [
    ...listenDirectives(context, [site.preview.listen], [], tls),
    ...logDirectives(context.logDir, site, previewUpstream(context.app), context.names),
    "server_tokens off;",
    ...accessDirectives(context.access),
    ...optionDirectives(context, config),
    ...errorPages(site),
    ...locations(context, config, {
      upstream: previewUpstream(context.app),
      releases: ["/staged", "/current"],
      closed: undefined,
    }),
  ]);
  return [server];
}

/** Redirects to https, on nginx's TLS port; on 443 if there are several. */
function redirectServer(
  context: ServerContext,
  main: MainServer,
  open: ListenAddress[],
  secure: ListenAddress[],
): string[] {
  const { config, serverNames, tls } = main;
  return block("server", [
    ...listenDirectives(context, open, serverNames, tls),
    ...logDirectives(context.logDir, siteOf(config), context.app, context.names),
    "server_tokens off;",
    ...headers(siteOf(config), context.own),
    ...acmeLocations(context.access, main),
    "",
    ...block("location /", [`return 301 https://$host${httpsPort(secure)}$request_uri;`]),
  ]);
}

/** The port of https as a URL has it: nothing for 443, which is taken if there are several. */
function httpsPort(secure: ListenAddress[]): string {
  const ports = secure.map(portOf);
  return ports.includes(443) ? "" : `:${ports[0]}`;
}

function listenDirectives(
  context: ServerContext,
  listen: ListenAddress[],
  serverNames: string[],
  tls: ServedSite["tls"],
): string[] {
  const { app, nginx, front } = context;
  const isDefault = serverNames.length === 0;
  const http2 = listen.some(isSecure) && nginx.modules.has("http_v2_module");
  // Since 1.25.1 it is a directive, before that a word of `listen`.
  const http2Directive = http2 && atLeast(nginx, 1, 25, 1);
  const lines = listen.map((address) => {
    const words = [
      plain(placeOf(address)),
      ...(isDefault ? ["default_server"] : []),
      ...(speaksProtocol(context, address) ? ["proxy_protocol"] : []),
      ...(isSecure(address) ? ["ssl", ...(http2 && !http2Directive ? ["http2"] : [])] : []),
    ];
    return `listen ${words.join(" ")};`;
  });
  const quic = listen
    .filter((address) => speaksQuic(context, address))
    .map((address) => [plain(placeOf(address)), ...(isDefault ? ["default_server"] : []), "quic"]);
  return [
    ...lines,
    `server_name ${isDefault ? "_" : serverNames.map(plain).join(" ")};`,
    ...realIp(
      front,
      listen.some((address) => speaksProtocol(context, address)),
    ),
    ...(http2Directive ? ["http2 on;"] : []),
    ...quic.map((words) => `listen ${words.join(" ")};`),
    ...(tls === undefined || !listen.some(isSecure)
      ? []
      : [
          `ssl_certificate ${quoted(tls.certificate)};`,
          `ssl_certificate_key ${quoted(tls.key)};`,
          "ssl_protocols TLSv1.2 TLSv1.3;",
          `ssl_session_cache shared:cutover-${plain(app)}:2m;`,
          "ssl_session_timeout 1d;",
        ]),
  ];
}

function optionDirectives({ nginx, own }: ServerContext, config: Config): string[] {
  const site = siteOf(config);
  return [
    `client_max_body_size ${plain(site.client_max_body_size)};`,
    `client_body_timeout ${plain(site.client_body_timeout)};`,
    // nginx would remember files by their path, and the path of a release's file leads through a link that moves.
    "open_file_cache off;",
    ...(site.gzip === undefined ? [] : site.gzip ? gzip : ["gzip off;"]),
    // A reload closes idle connections; with this only those that have been idle for some time.
    ...(config.server.bind === "port" && atLeast(nginx, 1, 27, 4) ? ["keepalive_min_timeout 5s;"] : []),
    ...headers(site, own),
  ];
}

const gzip = [
  "gzip on;",
  "gzip_min_length 1k;",
  "gzip_vary on;",
  "gzip_proxied any;",
  "gzip_types text/plain text/css text/javascript text/xml application/javascript application/json application/manifest+json application/xml application/rss+xml image/svg+xml;",
];

/** Looks for files that `cutover maintenance` creates and removes, so that nginx needs no reload. */
function maintenanceDirectives({ home, names: { closed } }: ServerContext): string[] {
  const set = (path: string, value: 0 | 1) => block(`if (-f ${path})`, [`set ${closed} ${value};`]);
  return [
    "",
    `set ${closed} 0;`,
    ...set(quoted(`${home}/maintenance/on`), 1),
    ...set(quotedWith(`${home}/maintenance/allow/`, "$remote_addr"), 0),
  ];
}

interface Served {
  upstream: string;
  /** Links to releases in the app's directory, in the order in which nginx tries their static files. */
  releases: string[];
  closed: string | undefined;
}

function locations(context: ServerContext, config: Config, { upstream, releases, closed }: Served): string[] {
  const site = siteOf(config);
  const { home, nginx, own, names } = context;
  const files = { home, releases, site, nginx, own };
  const pass = (head: string) => [
    "",
    ...block(head, [
      ...(closed === undefined ? [] : block(`if (${closed})`, ["return 503;"])),
      ...limitDirectives(names, site),
      ...proxyPass(config, upstream, context),
    ]),
  ];
  const top = config.static.find(({ url }) => url === "/");
  return [
    ...config.static.flatMap((one, index) => ["", ...staticLocations(one, index, files)]),
    ...config.static.flatMap(({ except }) => except.flatMap((url) => pass(`location ^~ ${quoted(url)}`))),
    ...config.shared.flatMap((one) => (one.url === undefined ? [] : ["", ...sharedLocation(context.home, one)])),
    ...(top?.fallback === undefined ? pass(`location ${top === undefined ? "/" : appLocation}`) : []),
    "",
    ...errorPage(config, { home, releases, closed, own }),
  ];
}
