import { dirname, join } from "node:path";
import type { Site } from "../../../shared/config-site.ts";
import type { Hsts } from "../../../shared/config-visits.ts";
import { milliseconds } from "../../../shared/duration.ts";
import type { AppSettings } from "../../settings.ts";
import type { Visitor } from "./front.ts";
import type { Names } from "./names.ts";
import { block, plain, plainNetwork, quoted, quotedText } from "./values.ts";

/** Who may come, how often, and what browsers are told about https. */

/** What the host's owner asks of the visitors of one app. */
export type Access = AppSettings["access"];

/** For a server: all its locations have it. */
export function accessDirectives(access: Access): string[] {
  if (access === undefined) return [];
  const { password_file: file, realm, allow, deny, satisfy } = access;
  return [
    ...(file === undefined ? [] : [`auth_basic ${quotedText(realm)};`, `auth_basic_user_file ${quoted(file)};`]),
    ...deny.map((one) => `deny ${plainNetwork(one)};`),
    ...allow.map((one) => `allow ${plainNetwork(one)};`),
    ...(allow.length === 0 ? [] : ["deny all;"]),
    ...(file === undefined ? [] : [`satisfy ${satisfy};`]),
  ];
}

/** For a location that everybody must reach, such as that of ACME. */
export function openAccess(access: Access): string[] {
  return access === undefined ? [] : ["auth_basic off;", "allow all;"];
}

/** One zone for each app. Its size never changes: nginx cannot change it at a reload. */
export function limitZone({ app }: Names, sites: Site[]): string[][] {
  const limit = sites.find(({ limit_req: each }) => each !== undefined)?.limit_req;
  if (limit === undefined) return [];
  return [[`limit_req_zone $binary_remote_addr zone=${plain(`cutover-${app}.limit`)}:2m rate=${rate(limit.rate)};`]];
}

/** For locations that pass to instances. */
export function limitDirectives({ app }: Names, { limit_req: limit }: Site): string[] {
  if (limit === undefined) return [];
  const burst = limit.burst === 0 ? "" : ` burst=${plain(limit.burst)} nodelay`;
  return [`limit_req zone=${plain(`cutover-${app}.limit`)}${burst};`, "limit_req_status 429;"];
}

function rate(text: string): string {
  return text.split("/").map(plain).join("/");
}

/** Browsers must not obey it over plain HTTP, so only who came by https gets it. nginx sends no header without a value. */
export function hstsMap({ hsts: name }: Names, { hsts }: Site, { scheme }: Visitor): string[][] {
  if (hsts === undefined) return [];
  return [block(`map ${scheme} ${name}`, ['default "";', `https ${quotedText(hstsValue(hsts))};`])];
}

function hstsValue({ max_age: age, include_subdomains: subdomains, preload }: Hsts): string {
  const parts = [`max-age=${Math.floor(milliseconds(age) / 1000)}`];
  if (subdomains) parts.push("includeSubDomains");
  if (preload) parts.push("preload");
  return parts.join("; ");
}

/** Where a load balancer asks whether this host takes visitors. */
export interface DrainPath {
  path: string;
  /** There while the host's owner wants no new visitors on the host, who are served all the same. */
  leaves: string;
}

/** `cutover drain on` makes the file next to agent.yml, so that it works without an agent too. */
export function drainPathOf({ drain_path: path, file }: AppSettings): DrainPath | undefined {
  return path === undefined ? undefined : { path, leaves: join(dirname(dirname(file)), "leaves") };
}

/** A load balancer asks every second or so, so nothing is logged. */
export function drainLocation(home: string, drain: DrainPath | undefined): string[] {
  if (drain === undefined) return [];
  return [
    "",
    ...block(`location = ${quoted(drain.path)}`, [
      "access_log off;",
      "auth_basic off;",
      "allow all;",
      "default_type text/plain;",
      ...block(`if (-f ${quoted(`${home}/maintenance/on`)})`, ['return 503 "leaves\\n";']),
      ...block(`if (-f ${quoted(drain.leaves)})`, ['return 503 "leaves\\n";']),
      'return 200 "takes visitors\\n";',
    ]),
  ];
}
