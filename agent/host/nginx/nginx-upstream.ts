import { siteOf } from "../../../shared/config.ts";
import type { Site } from "../../../shared/config-site.ts";
import type { SitePart } from "../../ports.ts";
import { portAddress } from "../address.ts";
import { block, quoted } from "./nginx-values.ts";
import { slotName } from "./slots.ts";

/** One upstream of an app: its servers are the 60 slots, so that what moves is the same for sockets and for ports. */
export interface UpstreamInput {
  name: string;
  part: SitePart;
  /** The link to the directory of slots whose sockets the upstream uses. */
  links: string;
}

export function upstreamFileName(app: string): string {
  return `cutover-${app}.upstream.conf`;
}

/** The name to which a server block passes: the app's own. */
export function mainUpstream(app: string): string {
  return app;
}

/** No app has a dot in its name. */
export function previewUpstream(app: string): string {
  return `${app}.preview`;
}

export function renderUpstreams(upstreams: UpstreamInput[]): string {
  const blocks = upstreams.map(({ name, part, links }) => {
    const servers = part.slots.map((port, slot) => serverName(port, links, slot));
    return block(`upstream ${name}`, [
      ...balancing(siteOf(part.config).balance),
      // A slot is never taken out for its failures: its instance is either up or being replaced.
      ...servers.map((server) => `server ${quoted(server)} max_fails=0;`),
    ]).join("\n");
  });
  return `# Written by cutover. Changes are lost.\n${blocks.join("\n\n")}\n`;
}

/** The servers of the slots of an upstream in a text that renderUpstreams made. */
export function serversOf(text: string, name: string): string[] {
  const lines = text.split("\n");
  const start = lines.indexOf(`upstream ${name} {`);
  if (start === -1) return [];
  const body = lines.slice(start + 1, lines.indexOf("}", start));
  return body.flatMap((line) => /^ +server "(.+)" max_fails=0;$/.exec(line)?.[1] ?? []);
}

/** Links to instances: moving them is the cutover, and nginx is not told. */
function serverName(port: number | null, links: string, slot: number): string {
  return port === null ? `unix:${links}/${slotName(slot)}` : portAddress(port);
}

function balancing(balance: Site["balance"]): string[] {
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
