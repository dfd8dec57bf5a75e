import type { Site } from "../../../shared/config-site.ts";
import type { Names } from "./names.ts";
import { block, plain, quoted } from "./values.ts";

/** The access log of a site: nginx's usual line, and which release answered, by which instance, in what time. */

type Format = "lines" | "json";

/** The format of a site's log; undefined for nginx's own, or no log. */
function formatOf({ access_log: wanted }: Site): Format | undefined {
  return wanted === true ? "lines" : wanted === "json" ? "json" : undefined;
}

/** No app has a dot in its name. */
function formatName({ app }: Names, format: Format): string {
  return plain(`cutover-${app}${format === "json" ? ".json" : ""}`);
}

/**
 * The formats that sites need, and where they find the release: behind the link of a slot lies the socket of an instance,
 * in the directory of its run. nginx looks when it writes the line. What no slot answered belongs to the live release.
 */
export function logBlocks(home: string, names: Names, sites: Site[]): string[][] {
  const formats = [...new Set(sites.map(formatOf))].filter((format) => format !== undefined);
  if (formats.length === 0) return [];
  return [
    block(`map $upstream_addr ${names.slot}`, [
      `default ${quoted(`${home}/current`)};`,
      '"~unix:(/[^,: ]+/\\d\\d)$" $1;',
    ]),
    block(`map $realpath_root ${names.run}`, ['default "";', '"~/(?:run|releases)/(\\d{8}T\\d{6}Z-[0-9a-f]{7})" $1;']),
    ...formats.map((format) => [
      format === "lines"
        ? `log_format ${formatName(names, "lines")} '${usual} release="${names.run}" ${ways}';`
        : `log_format ${formatName(names, "json")} escape=json '${json(names)}';`,
    ]),
  ];
}

/**
 * For a server. Its root is for the log: files have roots of their own.
 * @param fileName the files' name without its ending
 * @param counted the server has a log of its own besides, which `access_log off` would end too
 */
export function logDirectives(
  logDir: string,
  site: Site,
  fileName: string,
  names: Names,
  { counted = false } = {},
): string[] {
  const file = (kind: string) => quoted(`${logDir}/cutover-${fileName}.${kind}.log`);
  const format = formatOf(site);
  const off = counted ? [] : ["access_log off;"];
  const name = format === undefined ? "" : ` ${formatName(names, format)}`;
  return [
    ...(format === undefined ? [] : [`root ${names.slot};`]),
    ...(site.access_log === false ? off : [`access_log ${file("access")}${name};`]),
    `error_log ${file("error")};`,
  ];
}

const usual =
  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"';
const ways = 'upstream="$upstream_addr" time=$request_time upstream_time="$upstream_response_time"';

function json({ run }: Names): string {
  const texts = {
    time: "$time_iso8601",
    address: "$remote_addr",
    user: "$remote_user",
    host: "$host",
    method: "$request_method",
    uri: "$request_uri",
    protocol: "$server_protocol",
    status: "$status",
    referer: "$http_referer",
    agent: "$http_user_agent",
    release: run,
    upstream: "$upstream_addr",
    upstream_status: "$upstream_status",
    upstream_time: "$upstream_response_time",
  };
  const pairs = Object.entries(texts).map(([key, value]) => `"${key}":"${value}"`);
  return `{${[...pairs, '"time_taken":$request_time', '"bytes":$body_bytes_sent'].join(",")}}`;
}
