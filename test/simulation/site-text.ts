import type { SitePart } from "../../agent/contracts/privileged.ts";
import { slotLink } from "../../agent/host/nginx/slots.ts";
import { renderUpstreams, type UpstreamInput } from "../../agent/host/nginx/upstream-config.ts";
import { servedSite } from "../../agent/host-policy.ts";
import type { AppSettings } from "../../agent/settings.ts";
import { protocolOf } from "../../shared/config-server.ts";
import { linksPath } from "./traffic.ts";

/** The texts of an app's nginx files: the upstreams are the real ones, the site is a short word for it. */

export function upstreamOf(app: string, which: "main" | "preview", part: SitePart): UpstreamInput {
  const links = linksPath(app, slotLink(which, protocolOf(part.config.server)));
  return { name: which === "main" ? app : `${app}.preview`, part, links, peers: which === "main" };
}

/** @param settings the host's file as it is now: the names and addresses in it become the site's */
export function siteText(part: SitePart | null, settings: AppSettings): string {
  if (part === null) return "";
  const { site, server } = part.config;
  const { listen, serverNames } = servedSite(part.config, settings);
  return JSON.stringify([site, protocolOf(server), ...(site === "none" ? [[], []] : [serverNames, listen])]);
}

/** The names in a whole site file: those of its main part. */
export function namesIn(text: string | undefined): string[] {
  const [main = ""] = text?.split(" | ") ?? [];
  if (main === "") return [];
  const [, , names] = JSON.parse(main) as [unknown, unknown, string[]];
  return names;
}

const texts = new Map<string, string>();

/** The real text; kept, since a history writes few different ones. */
export function rendered(upstreams: UpstreamInput[]): string {
  const key = JSON.stringify(upstreams.map(({ name, part, links }) => [name, part.slots, part.config.site, links]));
  let text = texts.get(key);
  if (text === undefined) {
    text = renderUpstreams(upstreams);
    if (texts.size > 500) texts.clear();
    texts.set(key, text);
  }
  return text;
}
