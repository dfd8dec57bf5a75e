import { acmeUrl } from "./acme-url.ts";
import type { Names } from "./names.ts";
import { block, plain, plainNetwork } from "./values.ts";

/**
 * What stands in front of nginx: a load balancer, a CDN, another host of cutover. Only what such a proxy says of a visitor is
 * believed; from everybody else nothing of the kind reaches the app.
 */
export interface Front {
  /** Addresses and networks of the proxies; empty if there are none. */
  trusted: readonly string[];
  /** The ports at which they speak the PROXY protocol. */
  proxyProtocol: readonly number[];
}

/** The words by which nginx knows how the visitor came. */
export interface Visitor {
  /** `http` or `https`. */
  scheme: string;
  /** `on`, or nothing. */
  https: string;
}

export function visitorOf({ trusted }: Front, { proto, https }: Names): Visitor {
  return trusted.length === 0 ? { scheme: "$scheme", https: "$https" } : { scheme: proto, https };
}

/**
 * The variables of a site behind proxies. The TCP address decides who is trusted: the visitor's own one may be anything. A
 * proxy that speaks the PROXY protocol passes headers on unread, so they count for nothing there; its visitor came by HTTPS if
 * the port that he asked for was 443.
 */
export function frontMaps({ trusted, proxyProtocol }: Front, { front, proto, https, sent }: Names): string[][] {
  if (trusted.length === 0) return [];
  const port = proxyProtocol.length === 0 ? "" : "$proxy_protocol_server_port";
  return [
    block(`geo $realip_remote_addr ${front}`, ["default 0;", ...trusted.map((one) => `${plainNetwork(one)} 1;`)]),
    block(`map "${front}:${port}:$http_x_forwarded_proto" ${proto}`, [
      "default $scheme;",
      ...(port === "" ? [] : ['"~^1:443:" https;']),
      '"1::https" https;',
      '"1::http" http;',
    ]),
    block(`map ${proto} ${https}`, ['default "";', "https on;"]),
    block(`map "${proto}:$uri" ${sent}`, ["default 1;", '"~^https:" 0;', `"~:${acmeUrl}" 0;`]),
  ];
}

/** Makes the visitor's address the one that a trusted proxy names. @param protocol whether the server's ports speak PROXY */
export function realIp({ trusted }: Front, protocol: boolean): string[] {
  if (trusted.length === 0) return [];
  return [
    ...trusted.map((one) => `set_real_ip_from ${plainNetwork(one)};`),
    `real_ip_header ${protocol ? "proxy_protocol" : "X-Forwarded-For"};`,
    "real_ip_recursive on;",
  ];
}

/** What instances get in headers: who the visitor is and how he came. */
export function visitorHeaders({ scheme }: Visitor): [name: string, value: string][] {
  return [
    ["X-Real-IP", "$remote_addr"],
    // The address alone: whatever the visitor or a proxy wrote before it, servers read from different ends.
    ["X-Forwarded-For", "$remote_addr"],
    ["X-Forwarded-Proto", scheme],
    ...[...visitorsOwn, visitHeader].map((name): [string, string] => [name, '""']),
  ];
}

/**
 * In which the agent says that a request is its own: see `OwnVisits`. Nobody else may learn what it says, so it goes to no
 * instance and to no peer.
 */
export const visitHeader = "X-Cutover-Visit";

/** Other headers in which servers, frameworks and libraries look for the same, and which a visitor can send. */
const visitorsOwn = [
  "Forwarded",
  "Forwarded-For",
  "X-Forwarded",
  "X-Forwarded-By",
  "X-Forwarded-Host",
  "X-Forwarded-Port",
  "X-Forwarded-Prefix",
  "X-Forwarded-Protocol",
  "X-Forwarded-Scheme",
  "X-Forwarded-Server",
  "X-Forwarded-Ssl",
  "X-Original-Forwarded-For",
  "X-Original-Host",
  "X-Host",
  "X-HTTP-Host-Override",
  "X-Original-URL",
  "X-Rewrite-URL",
  "Client-IP",
  "X-Client-IP",
  "X-Cluster-Client-IP",
  "X-Remote-IP",
  "X-Remote-Addr",
  "X-Originating-IP",
  "X-ProxyUser-IP",
  "Proxy-Client-IP",
  "WL-Proxy-Client-IP",
  "True-Client-IP",
  "CF-Connecting-IP",
  "CF-Connecting-IPv6",
  "CF-Visitor",
  "CloudFront-Viewer-Address",
  "Fastly-Client-IP",
  "Fly-Client-IP",
  "DO-Connecting-IP",
  "Ali-CDN-Real-IP",
  "X-AppEngine-User-IP",
  "X-Azure-ClientIP",
  "X-Azure-SocketIP",
  "X-Envoy-External-Address",
  "Front-End-Https",
  "X-Scheme",
  "X-Url-Scheme",
  "X-Script-Name",
  "Proxy",
];

/** What nginx tells a peer that it passes a request to. A visitor who says it gets an answer of this host. */
export const passedHeader = "X-Cutover-Passed";

/** A request that a peer has passed on is answered here: two hosts that pass to each other are no ring. */
export function passedMap(app: string, own: string, { own: name }: Names): string[] {
  return block(`map ${headerVariable(passedHeader)} ${name}`, [`default ${plain(own)};`, `"" ${plain(app)};`]);
}

/** nginx's variable of a header of a request. */
export function headerVariable(name: string): string {
  return `$http_${name.toLowerCase().replaceAll("-", "_")}`;
}

export const passedDirective = `proxy_set_header ${passedHeader} 1;`;
