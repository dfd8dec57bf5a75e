import { isDeepStrictEqual } from "node:util";
import type { Route, RoutePart, Traffic } from "../../agent/contracts/ports.ts";
import type { SitePart } from "../../agent/contracts/privileged.ts";
import { parseAddress, socketAddress } from "../../agent/host/net/address.ts";
import { linkTargets, type SlotLink, slotAddresses, slotLink, slotsOf } from "../../agent/host/nginx/slots.ts";
import { protocolOf } from "../../shared/config-server.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import { parsed } from "./nginx.ts";
import type { SimPrivileged } from "./privileged.ts";

/** Moves visitors, effect by effect as agent/host/nginx/traffic.ts and slots.ts do it; the division of the slots is the real one. */
export class SimTraffic implements Traffic {
  readonly #host: Host;
  readonly #effects: Effects;
  readonly #privileged: SimPrivileged;

  constructor(host: Host, effects: Effects, privileged: SimPrivileged) {
    this.#host = host;
    this.#effects = effects;
    this.#privileged = privileged;
  }

  async route(app: string, route: Route): Promise<{ reloaded: boolean }> {
    const plans = [route.main && planned(route.main, "main"), route.preview && planned(route.preview, "preview")];
    const servers = await this.#privileged.upstreamServers(app);
    const used = [...servers.main, ...servers.preview, ...(servers.before ?? [])];
    const early: (() => Promise<void>)[] = [];
    const late: (() => Promise<void>)[] = [];
    for (const plan of plans) {
      if (!plan) continue;
      const now = this.#host.disk(app).sockets(plan.link);
      const targets = linkTargets(now, plan.sockets, slotsOf(used, slotBase(app, plan.link)));
      if (targets === undefined) continue;
      const { meanwhile, then } = targets;
      if (!isDeepStrictEqual(meanwhile, now)) early.push(await this.#prepare(app, plan.link, meanwhile));
      if (!isDeepStrictEqual(then, meanwhile)) late.push(await this.#prepare(app, plan.link, then));
    }
    for (const move of early) await move();
    const [main, preview] = plans;
    const { changed } = await this.#privileged.writeSite(app, {
      main: main?.part ?? null,
      preview: preview?.part ?? null,
      keepNames: route.keepNames === true,
    });
    for (const move of late) await move();
    return { reloaded: changed };
  }

  async assigned(app: string): Promise<Map<string, number>> {
    const { nginx } = this.#host;
    return this.#effects.ask("ask.slots", app, () => {
      const counts = new Map<string, number>();
      const text = nginx.appFiles(app).upstream.present;
      const { main } = text === undefined ? { main: [] } : parsed(text, app);
      for (const address of this.#host.resolve(app, main)) counts.set(address, (counts.get(address) ?? 0) + 1);
      return counts;
    });
  }

  async unread(app: string): Promise<boolean> {
    return (await this.#privileged.upstreamServers(app)).unread;
  }

  async settled(app: string, { ports }: { ports: boolean }): Promise<boolean> {
    return !ports || !(await this.#privileged.oldWorkers(app));
  }

  async tidy(app: string): Promise<void> {
    const disk = this.#host.disk(app);
    for (const name of [...disk.slotDirs.keys()]) {
      const link = name.slice(0, name.lastIndexOf(".")) as SlotLink;
      if (disk.slotLinks.get(link) === name) continue;
      await this.#effects.do("slots.tidy", app, () => disk.slotDirs.delete(name));
    }
  }

  async #prepare(app: string, link: SlotLink, sockets: string[]): Promise<() => Promise<void>> {
    const disk = this.#host.disk(app);
    const numbers = [...disk.slotDirs.keys()]
      .filter((name) => name.startsWith(`${link}.`))
      .map((name) => Number(name.slice(link.length + 1)));
    const name = `${link}.${Math.max(0, ...numbers) + 1}`;
    await this.#effects.do("slots.prepare", app, () => disk.slotDirs.set(name, sockets));
    return async () => {
      await this.#effects.do("slots.swap", app, () => {
        disk.slotLinks.set(link, name);
        this.#host.watcher.moved(app);
      });
    };
  }
}

interface Plan {
  part: SitePart;
  link: SlotLink;
  sockets: (string | undefined)[];
}

function planned({ config, shares }: RoutePart, upstream: "main" | "preview"): Plan {
  const link = slotLink(upstream, protocolOf(config.server));
  const addresses = slotAddresses(shares).map(parseAddress);
  const slots = addresses.map((address) => ("port" in address ? address.port : null));
  const sockets = addresses.map((address) => ("socket" in address ? address.socket : undefined));
  return { part: { config, slots }, link, sockets };
}

export function linksPath(app: string, link: SlotLink): string {
  return `/app/${app}/${link}`;
}

function slotBase(app: string, link: SlotLink): string {
  return `${socketAddress(linksPath(app, link))}/`;
}
