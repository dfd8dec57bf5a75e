import { type Config, siteOf } from "../../../shared/config.ts";
import { portOf, type Site } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { isSecure, type PermittedSite } from "../../host-policy.ts";
import { errorPage, errorPages } from "./error-pages.ts";
import { atLeast, type NginxFeatures } from "./features.ts";
import { headers, proxyPass, sharedLocation, staticLocations } from "./locations.ts";
import type { Names, Places } from "./names.ts";
import { requestLog } from "./request-log.ts";
import { mainUpstream, previewUpstream } from "./upstream-config.ts";
import { block, plain, quoted, quotedWith } from "./values.ts";

export interface MainServer extends PermittedSite {
  config: Config;
}

export interface PreviewServer extends Pick<PermittedSite, "tls"> {
  config: Config;
}

/** What all server blocks of one site need. */
export interface ServerContext extends Places {
  app: string;
  nginx: NginxFeatures;
  names: Names;
}

/** The site: one server block, or one for TLS and one that redirects to it. */
export function mainServers(context: ServerContext & { chosen: boolean }, main: MainServer): string[][] {
  const { config, listen } = main;
  const secure = listen.filter(isSecure);
  const open = listen.filter((address) => !isSecure(address));
  const redirects = siteOf(config).https_redirect && secure.length > 0 && open.length > 0;
  return redirects
    ? [redirectServer(context, main, open, secure), siteServer(context, main, secure)]
    : [siteServer(context, main, listen)];
}

function siteServer(
  context: ServerContext & { chosen: boolean },
  { config, serverNames, tls, acmeChallenge }: MainServer,
  listen: ListenAddress[],
): string[] {
  const { names, chosen } = context;
  return block("server", [
    ...listenDirectives(context, listen, serverNames, tls),
    ...logDirectives(context, siteOf(config), context.app, { counted: true }),
    ...optionDirectives(context, config),
    ...requestLog(context.app, context.requests, names, chosen ? previewUpstream(context.app) : undefined),
    ...maintenanceDirectives(context),
    ...errorPages(siteOf(config)),
    ...(listen.every(isSecure) ? [] : acmeLocation(acmeChallenge)),
    ...locations(context, config, {
      upstream: chosen ? names.upstream : mainUpstream(context.app),
      releases: [...(chosen ? [`/${names.release}`] : []), "/current", "/canary", "/previous"],
      closed: names.closed,
    }),
  ]);
}

/** The staged release, or the live one while none is staged. Maintenance does not close it: it shows what comes next. */
export function previewServer(context: ServerContext, { config, tls }: PreviewServer): string[][] {
  const site = siteOf(config);
  if (site.preview?.listen === undefined) return [];
  const server = block("server", [
    ...listenDirectives(context, [site.preview.listen], [], tls),
    ...logDirectives(context, site, previewUpstream(context.app)),
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
  { config, serverNames, tls, acmeChallenge }: MainServer,
  open: ListenAddress[],
  secure: ListenAddress[],
): string[] {
  const ports = secure.map(portOf);
  const port = ports.includes(443) ? 443 : ports[0];
  return block("server", [
    ...listenDirectives(context, open, serverNames, tls),
    ...logDirectives(context, siteOf(config), context.app),
    ...headers(siteOf(config)),
    ...acmeLocation(acmeChallenge),
    "",
    ...block("location /", [`return 301 https://$host${port === 443 ? "" : `:${port}`}$request_uri;`]),
  ]);
}

function listenDirectives(
  { app, nginx }: ServerContext,
  listen: ListenAddress[],
  serverNames: string[],
  tls: PermittedSite["tls"],
): string[] {
  const isDefault = serverNames.length === 0;
  const http2 = listen.some(isSecure) && nginx.modules.has("http_v2_module");
  // Since 1.25.1 it is a directive, before that a word of `listen`.
  const http2Directive = http2 && atLeast(nginx, 1, 25, 1);
  const lines = listen.map((address) => {
    const [place = "", ssl] = String(address).split(" ");
    const words = [
      plain(place),
      ...(isDefault ? ["default_server"] : []),
      ...(ssl === undefined ? [] : ["ssl", ...(http2 && !http2Directive ? ["http2"] : [])]),
    ];
    return `listen ${words.join(" ")};`;
  });
  return [
    ...lines,
    `server_name ${isDefault ? "_" : serverNames.map(plain).join(" ")};`,
    ...(http2Directive ? ["http2 on;"] : []),
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

/** @param counted the server has a log of its own besides, which `access_log off` would end too */
function logDirectives(
  { logDir }: ServerContext,
  { access_log: access }: Site,
  name: string,
  { counted = false } = {},
): string[] {
  const file = (kind: string) => quoted(`${logDir}/cutover-${name}.${kind}.log`);
  const log = access ? [`access_log ${file("access")};`] : counted ? [] : ["access_log off;"];
  return [...log, `error_log ${file("error")};`];
}

function optionDirectives({ nginx }: ServerContext, config: Config): string[] {
  const site = siteOf(config);
  return [
    `client_max_body_size ${plain(site.client_max_body_size)};`,
    `client_body_timeout ${plain(site.client_body_timeout)};`,
    // nginx would remember files by their path, and the path of a release's file leads through a link that moves.
    "open_file_cache off;",
    ...(site.gzip ? gzip : []),
    // A reload closes idle connections; with this only those that have been idle for some time.
    ...(config.server.bind === "port" && atLeast(nginx, 1, 27, 4) ? ["keepalive_min_timeout 5s;"] : []),
    ...headers(site),
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

/** The URL of ACME challenges. */
export const acmeUrl = "/.well-known/acme-challenge/";

/** ACME challenges come over plain HTTP, even if everything else is redirected to https. */
function acmeLocation(directory: string | undefined): string[] {
  if (directory === undefined) return [];
  return [
    "",
    ...block(`location ^~ ${quoted(acmeUrl)}`, [
      `root ${quoted(directory)};`,
      "default_type text/plain;",
      "try_files $uri =404;",
    ]),
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
  return [
    ...config.static.flatMap((one, index) => ["", ...staticLocations(context.home, one, index, { releases, site })]),
    ...config.shared.flatMap((one) => (one.url === undefined ? [] : ["", ...sharedLocation(context.home, one)])),
    "",
    ...block("location /", [
      ...(closed === undefined ? [] : block(`if (${closed})`, ["return 503;"])),
      ...proxyPass(config, upstream, context.names),
    ]),
    "",
    ...errorPage(context.home, config, releases, closed),
  ];
}
