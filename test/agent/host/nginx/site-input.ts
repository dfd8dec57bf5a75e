import type { MainServer } from "../../../../agent/host/nginx/server-block.ts";
import type { SiteInput } from "../../../../agent/host/nginx/site-config.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { testConfig } from "../scratch.ts";

export const main = (parts: object = {}, more: Partial<MainServer> = {}): MainServer => ({
  config: testConfig(parts),
  listen: [80],
  serverNames: ["shop.example.com"],
  tls: undefined,
  acmeChallenge: undefined,
  ...more,
});

export const input: SiteInput = {
  app: "shop",
  home: "/var/lib/cutover/apps/shop",
  logDir: "/var/log/nginx",
  requests: requestPlaces("/var/lib/cutover"),
  nginx: { version: [1, 22, 1], modules: new Set(["http_v2_module"]) },
  front: { trusted: [], proxyProtocol: [] },
  access: undefined,
  passes: false,
  http3: false,
  drainPath: undefined,
  main: main(),
  preview: null,
};

export const page = (title: string, text: string) =>
  `"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>${title}</title><style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;padding:0 1em}</style><h1>${title}</h1><p>${text}</p></html>"`;
export const closed = page("Back soon", "This site is closed for maintenance. Please come back in a little while.");
export const unavailable = page("Not available", "This site cannot answer right now. Please try again in a minute.");

export const maintenance = `
    set $cutover_shop_shut 0;
    if (-f "/var/lib/cutover/apps/shop/maintenance/on") {
        set $cutover_shop_shut 1;
    }
    if (-f "/var/lib/cutover/apps/shop/maintenance/allow/$remote_addr") {
        set $cutover_shop_shut 0;
    }
`;

/** Of the visitor's own, nothing of this kind reaches the instances. */
export const nothingOwn = [
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
  "X-Cutover-Visit",
]
  .map((name) => `        proxy_set_header ${name} "";\n`)
  .join("");

/** The blocks of an access log in the usual format. */
export const logFormat = `map $upstream_addr $cutover_shop_slot {
    default "/var/lib/cutover/apps/shop/current";
    "~unix:(/[^,: ]+/\\d\\d)$" $1;
}

map $realpath_root $cutover_shop_run {
    default "";
    "~/(?:run|releases)/(\\d{8}T\\d{6}Z-[0-9a-f]{7})" $1;
}

log_format cutover-shop '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" release="$cutover_shop_run" upstream="$upstream_addr" time=$request_time upstream_time="$upstream_response_time"';

`;

/** The http block's part of the lines of requests. */
export const requestFormat = `map $msec $cutover_shop_time {
    default "";
    "~^([0-9]+)[0-9][0-9][.]" $1;
}

map $request_uri $cutover_shop_path {
    default "";
    "~^([^?]{0,200})" $1;
}

map $status $cutover_shop_fail {
    default "";
    ~^5 $cutover_shop_path;
}

log_format cutover_shop '$msec $status $request_time $bytes_sent "$upstream_status" "$upstream_response_time" "$upstream_addr" "$cutover_shop_fail"';

map $http_x_cutover_visit $cutover_shop_visit {
    default "";
    "~^[0-9a-f]{32}$" "/var/lib/cutover/request-counts/visits/$http_x_cutover_visit";
}
`;

/** The server block's. @param preview whether visitors may choose the preview */
export const requestLines = ({ preview = false } = {}) => `
    uninitialized_variable_warn off;
    set $cutover_shop_log 0;
    if (-f "/var/lib/cutover/request-counts/periods/$cutover_shop_time") {
        set $cutover_shop_log 1;
    }
    if (-f $cutover_shop_visit) {
        set $cutover_shop_log 0;
    }
${
  preview
    ? `    if ($cutover_shop_to = "shop.preview") {
        set $cutover_shop_log 0;
    }
`
    : ""
}    access_log "/var/lib/cutover/requests/shop.log" cutover_shop if=$cutover_shop_log;
`;
