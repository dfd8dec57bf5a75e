import { type Config, siteOf } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { mainUpstream, previewUpstream } from "./nginx-upstream.ts";
import { block, plain, quoted } from "./nginx-values.ts";

/** What a site's text is made of. Every value is checked again while rendering. */
export interface SiteInput {
  app: string;
  /** The app's directory on the host. */
  home: string;
  main: MainServer | null;
  preview: PreviewServer | null;
}

export interface MainServer {
  config: Config;
  listen: ListenAddress[];
  /** Empty: the default server of its addresses. */
  serverNames: string[];
}

export interface PreviewServer {
  config: Config;
  listen: ListenAddress;
}

export function siteFileName(app: string): string {
  return `cutover-${app}.conf`;
}

/**
 * The exact text of an app's site; undefined where cutover has no server block to write.
 * @throws CutoverError config_invalid for a value that nginx could read as something else than a value
 */
export function renderSite({ app, home, main, preview }: SiteInput): string | undefined {
  const servers = [
    ...(main === null || main.config.site === "none" ? [] : [mainServer(app, home, main)]),
    ...(preview === null ? [] : [previewServer(app, home, preview)]),
  ];
  if (servers.length === 0) return undefined;
  return ["# Written by cutover. Changes are lost.", ...servers.map((lines) => lines.join("\n"))]
    .join("\n")
    .concat("\n");
}

function mainServer(app: string, home: string, { config, listen, serverNames }: MainServer): string[] {
  const isDefault = serverNames.length === 0;
  return block("server", [
    ...listen.map((address) => `listen ${plain(address)}${isDefault ? " default_server" : ""};`),
    `server_name ${isDefault ? "_" : serverNames.map(plain).join(" ")};`,
    ...locations(home, config, mainUpstream(app), ["current", "canary", "previous"]),
  ]);
}

function previewServer(app: string, home: string, { config, listen }: PreviewServer): string[] {
  return block("server", [
    `listen ${plain(listen)};`,
    ...locations(home, config, previewUpstream(app), ["staged", "current"]),
  ]);
}

function locations(home: string, config: Config, upstream: string, releases: string[]): string[] {
  return [
    `client_max_body_size ${plain(siteOf(config).client_max_body_size)};`,
    ...config.static.flatMap(({ url, expires }) => staticLocation(home, url, expires, releases)),
    "",
    ...block("location /", passing(config, upstream)),
  ];
}

function passing(config: Config, upstream: string): string[] {
  if (protocolOf(config.server) === "uwsgi") {
    return ["include uwsgi_params;", `uwsgi_pass ${upstream};`, "uwsgi_next_upstream error;"];
  }
  return [
    `proxy_pass http://${upstream};`,
    "proxy_http_version 1.1;",
    "proxy_set_header Host $http_host;",
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
    "proxy_redirect off;",
    "proxy_next_upstream error;",
  ];
}

/** Files of the live release, then of the canary, then of the one before, for pages that were loaded just before a cutover. */
function staticLocation(home: string, url: string, expires: string, releases: string[]): string[] {
  return [
    "",
    ...block(`location ^~ ${quoted(url)}`, [
      `root ${quoted(home)};`,
      `try_files ${releases.map((release) => `/${release}/static$uri`).join(" ")} =404;`,
      ...(expires === "off" ? [] : [`expires ${plain(expiry(expires))};`]),
    ]),
  ];
}

/** nginx counts `expires` in whole seconds. */
function expiry(expires: string): string {
  return expires.endsWith("ms") ? `${Math.ceil(milliseconds(expires) / 1000)}s` : expires;
}
