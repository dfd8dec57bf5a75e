import { join } from "node:path";
import { type Config, siteOf } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { type Shared, type Site, sharedPlace } from "../../../shared/config-site.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { passedDirective, type Visitor, visitorHeaders } from "./front.ts";
import type { Names } from "./names.ts";
import { block, plain, quoted, quotedText, quotedWith } from "./values.ts";

/** The headers that a site has from cutover, whatever its app says of them: by name, as nginx reads their values. */
export type OwnHeaders = Readonly<Record<string, string>>;

/** A location with headers of its own loses those of its server, so they must be in both. */
export function headers({ add_header: all }: Site, own: OwnHeaders): string[] {
  return [
    ...Object.entries(all).map(([name, value]) => `add_header ${plain(name)} ${quotedText(value)} always;`),
    ...Object.entries(own).map(([name, value]) => `add_header ${name} ${value} always;`),
  ];
}

/**
 * The directory in which nginx looks for the files of a release. From the release on it follows no link: there is none among
 * the files of a bundle, and one that a build left could lead to what only nginx's group may read.
 * @param link the link to the release below the app's directory, such as `/current`
 */
export function inRelease(home: string, link: string, below: string): string[] {
  return [`root ${quotedWith(home, link + below)};`, `disable_symlinks on ${quotedWith(`from=${home}`, link)};`];
}

/** Files that outlive releases. A symlink among them may only lead to files of its own owner. */
export function sharedLocation(home: string, shared: Shared): string[] {
  const { url, expires, internal } = shared;
  if (url === undefined) return [];
  const directory = `${join(home, "shared", sharedPlace(shared)).replace(/\/$/, "")}/`;
  return block(`location ^~ ${quoted(url)}`, [
    `alias ${quotedText(directory)};`,
    `disable_symlinks if_not_owner ${quoted(`from=${home}/shared/`)};`,
    ...(internal ? ["internal;"] : []),
    ...expiresDirective(expires),
  ]);
}

export const onOff = (on: boolean) => (on ? "on" : "off");

/** nginx counts `expires` in whole seconds. */
export function expiresDirective(expires: string): string[] {
  if (expires === "off") return [];
  const seconds = expires.endsWith("ms") ? `${Math.ceil(milliseconds(expires) / 1000)}s` : expires;
  return [`expires ${plain(seconds)};`];
}

interface ProxyContext {
  names: Names;
  visitor: Visitor;
  own: OwnHeaders;
  passes: boolean;
}

/** Passes requests to the instances, in the protocol that they speak. */
export function proxyPass(config: Config, upstream: string, { names, visitor, own, passes }: ProxyContext): string[] {
  const site = siteOf(config);
  const hidden = Object.keys(own);
  return protocolOf(config.server) === "uwsgi"
    ? [
        `uwsgi_pass ${upstream};`,
        ...uwsgiParams(visitor),
        "uwsgi_next_upstream error;",
        ...hidden.map((name) => `uwsgi_hide_header ${name};`),
        ...exchange("uwsgi", site),
      ]
    : [
        `proxy_pass http://${upstream};`,
        "proxy_http_version 1.1;",
        "proxy_set_header Host $http_host;",
        ...visitorHeaders(visitor).map(([name, value]) => `proxy_set_header ${name} ${value};`),
        ...(site.upgrade
          ? ["proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection ${names.connection};`]
          : []),
        ...(passes ? [passedDirective] : []),
        "proxy_redirect off;",
        "proxy_next_upstream error;",
        ...hidden.map((name) => `proxy_hide_header ${name};`),
        ...exchange("proxy", site),
      ];
}

function exchange(kind: "proxy" | "uwsgi", site: Site): string[] {
  return [
    `${kind}_connect_timeout ${plain(site.proxy_connect_timeout)};`,
    `${kind}_read_timeout ${plain(site.proxy_read_timeout)};`,
    `${kind}_send_timeout ${plain(site.proxy_send_timeout)};`,
    // Both ways: nginx.conf may have another default for all sites.
    `${kind}_buffering ${onOff(site.proxy_buffering)};`,
    `${kind}_request_buffering ${onOff(site.proxy_request_buffering)};`,
    `${kind}_intercept_errors ${onOff(site.proxy_intercept_errors)};`,
  ];
}

/** The content of uwsgi_params, which not every nginx has, and what HTTP instances get in headers. */
const uwsgiParams = ({ scheme, https }: Visitor): string[] =>
  [
    "QUERY_STRING $query_string",
    "REQUEST_METHOD $request_method",
    "CONTENT_TYPE $content_type",
    "CONTENT_LENGTH $content_length",
    "REQUEST_URI $request_uri",
    "PATH_INFO $document_uri",
    "DOCUMENT_ROOT $document_root",
    "SERVER_PROTOCOL $server_protocol",
    `REQUEST_SCHEME ${scheme}`,
    `HTTPS ${https} if_not_empty`,
    "REMOTE_ADDR $remote_addr",
    "REMOTE_PORT $remote_port",
    "SERVER_PORT $server_port",
    "SERVER_NAME $server_name",
    // A parameter that begins with HTTP_ takes the place of the header, also where it is empty.
    ...visitorHeaders({ scheme, https }).map(
      ([name, value]) => `HTTP_${name.toUpperCase().replaceAll("-", "_")} ${value} if_not_empty`,
    ),
  ].map((param) => `uwsgi_param ${param};`);
