import type { Config } from "../../../shared/config.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { AppLayout } from "../layout.ts";
import { slotCount, slotName } from "./slots.ts";

/** What a site's text is made of. Every value is checked again while rendering. */
export interface SiteInput {
  app: string;
  layout: Pick<AppLayout, "home" | "slots">;
  listen: (string | number)[];
  /** Empty: the default server of its addresses. */
  serverNames: string[];
  config: Pick<Config, "static" | "site">;
}

export function siteFileName(app: string): string {
  return `cutover-${app}.conf`;
}

/**
 * The exact text of an app's site.
 * @throws CutoverError config_invalid for a value that nginx could read as something else than a value
 */
export function renderSite({ app, layout, listen, serverNames, config }: SiteInput): string {
  const upstream = `cutover-${app}`;
  const { client_max_body_size: bodySize, balance } = config.site;
  const lines = [
    "# Written by cutover. Changes are lost.",
    `upstream ${upstream} {`,
    ...indent(balancing(balance)),
    // Links to instances: moving them is the cutover, and nginx is not told. A slot is never taken out for its failures.
    ...indent(
      Array.from(
        { length: slotCount },
        (_, slot) => `server ${quoted(`unix:${layout.slots}/${slotName(slot)}`)} max_fails=0;`,
      ),
    ),
    "}",
    "",
    "server {",
    ...indent([
      ...listen.map((address) => `listen ${plain(address)}${serverNames.length === 0 ? " default_server" : ""};`),
      `server_name ${serverNames.length === 0 ? "_" : serverNames.map(plain).join(" ")};`,
      `client_max_body_size ${plain(bodySize)};`,
      ...config.static.flatMap(({ url, expires }) => staticLocation(layout.home, url, expires)),
      "",
      "location / {",
      ...indent([
        `proxy_pass http://${upstream};`,
        "proxy_http_version 1.1;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_redirect off;",
        "proxy_next_upstream error;",
      ]),
      "}",
    ]),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function balancing(balance: Config["site"]["balance"]): string[] {
  switch (balance) {
    case "round_robin":
      return [];
    case "ip_hash":
      return ["ip_hash;"];
    case "least_conn":
      return ["least_conn;"];
    case "url_hash":
      return ["hash $request_uri consistent;"];
  }
}

/** Files of the live release, then those of the one before it, for pages that were loaded just before a cutover. */
function staticLocation(home: string, url: string, expires: string): string[] {
  return [
    "",
    `location ^~ ${quoted(url)} {`,
    ...indent([
      `root ${quoted(home)};`,
      "try_files /current/static$uri /previous/static$uri =404;",
      ...(expires === "off" ? [] : [`expires ${plain(expiry(expires))};`]),
    ]),
    "}",
  ];
}

/** nginx counts `expires` in whole seconds. */
function expiry(expires: string): string {
  return expires.endsWith("ms") ? `${Math.ceil(milliseconds(expires) / 1000)}s` : expires;
}

const indent = (lines: string[]) => lines.map((line) => (line === "" ? "" : `    ${line}`));

/** A value that needs no quotes: nothing in it ends a token or starts a variable. */
function plain(value: string | number): string {
  const text = String(value);
  if (!/^[A-Za-z0-9._:*[\]-]+$/.test(text)) throw refused(text);
  return text;
}

/** Quotes stop everything but variables, for which nginx has no escape. */
function quoted(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (value === "" || /[\u0000-\u001f\u007f$"'\\]/.test(value)) throw refused(value);
  return `"${value}"`;
}

function refused(value: string): CutoverError {
  return new CutoverError("config_invalid", `nginx's configuration cannot hold this value: ${JSON.stringify(value)}.`, {
    unchanged: "Nothing was changed.",
    fix: "Use a value without $, quotes, backslashes, spaces and control characters.",
  });
}
