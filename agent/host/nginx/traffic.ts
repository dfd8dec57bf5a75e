import { isDeepStrictEqual } from "node:util";
import { protocolOf } from "../../../shared/config-server.ts";
import type { Route, RoutePart, Traffic } from "../../contracts/ports.ts";
import type { Privileged, SitePart } from "../../contracts/privileged.ts";
import { parseAddress, socketAddress } from "../net/address.ts";
import type { Leading } from "../requests/run-history.ts";
import { linkTargets, type SlotLink, SlotLinks, slotAddresses, slotLink, slotsOf } from "./slots.ts";

type Border = Pick<Privileged, "writeSite" | "upstreamServers" | "oldWorkers">;

/** Is told where the traffic goes, so that requests get their release. Neither throws. */
export interface TrafficHistory {
  /** Before it moves; it is about to lead there. */
  moving(app: string, leading: Leading): Promise<void>;
  /** @param always nothing had to be moved: it has led there before */
  moved(app: string, how: { always: boolean }): Promise<void>;
}

/**
 * Moves visitors. A slot is a server of nginx's upstream: a link to an instance's socket, which a rename moves; or an
 * instance's port, which a new upstream file and a reload of nginx move.
 */
export class NginxTraffic implements Traffic {
  readonly #links: SlotLinks;
  readonly #privileged: Border;
  readonly #history: TrafficHistory | undefined;

  /** @param data the agent's data directory */
  constructor(data: string, privileged: Border, history?: TrafficHistory) {
    this.#links = new SlotLinks(data);
    this.#privileged = privileged;
    this.#history = history;
  }

  async route(app: string, route: Route): Promise<{ reloaded: boolean }> {
    const main = route.main === null ? null : planned(route.main, "main");
    const preview = route.preview === null ? null : planned(route.preview, "preview");
    if (main !== null) await this.#history?.moving(app, leadingOf(main, this.#base(app, main.link)));
    const { changed, moved } = await this.#route(app, main, preview, route);
    if (main !== null) await this.#history?.moved(app, { always: !changed && !moved });
    return { reloaded: changed };
  }

  async #route(
    app: string,
    main: Plan | null,
    preview: Plan | null,
    { keepNames }: Route,
  ): Promise<{ changed: boolean; moved: boolean }> {
    const servers = await this.#privileged.upstreamServers(app);
    // What an interrupted write had kept comes back if nginx refuses this one.
    const used = [...servers.main, ...servers.preview, ...(servers.before ?? [])];
    const early: Move[] = [];
    const late: Move[] = [];
    for (const plan of [main, preview]) {
      if (plan === null) continue;
      const { link, sockets } = plan;
      const now = await this.#links.sockets(app, link);
      const targets = linkTargets(now, sockets, slotsOf(used, this.#base(app, link)));
      if (targets === undefined) continue;
      const { meanwhile, then } = targets;
      if (!isDeepStrictEqual(meanwhile, now)) early.push(await this.#links.prepare(app, link, meanwhile));
      if (!isDeepStrictEqual(then, meanwhile)) late.push(await this.#links.prepare(app, link, then));
    }
    for (const move of early) await move();
    const parts = { main: main?.part ?? null, preview: preview?.part ?? null };
    const request = keepNames === true ? { ...parts, keepNames } : parts;
    const { changed } = await this.#privileged.writeSite(app, request);
    for (const move of late) await move();
    return { changed, moved: early.length + late.length > 0 };
  }

  async assigned(app: string): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    const { main: servers } = await this.#privileged.upstreamServers(app);
    const links = new Map<SlotLink, (string | undefined)[]>();
    for (const server of servers) {
      const link = (["slots", "slots-uwsgi"] as const).find((each) => server.startsWith(this.#base(app, each)));
      let address: string | undefined = server;
      if (link !== undefined) {
        const sockets = links.get(link) ?? (await this.#links.sockets(app, link));
        links.set(link, sockets);
        const socket = sockets[Number(server.slice(this.#base(app, link).length))];
        address = socket === undefined ? undefined : socketAddress(socket);
      }
      if (address !== undefined) counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    return counts;
  }

  async unread(app: string): Promise<boolean> {
    return (await this.#privileged.upstreamServers(app)).unread;
  }

  /** With sockets at once, because nginx follows the link at each connect; with ports when the old workers are gone. */
  async settled(_app: string, { ports }: { ports: boolean }): Promise<boolean> {
    return !ports || !(await this.#privileged.oldWorkers());
  }

  async tidy(app: string): Promise<void> {
    await this.#links.tidy(app);
  }

  #base(app: string, link: SlotLink): string {
    return `${socketAddress(this.#links.path(app, link))}/`;
  }
}

type Move = () => Promise<void>;

interface Plan {
  part: SitePart;
  link: SlotLink;
  /** The socket of each slot; undefined where a port has it. */
  sockets: (string | undefined)[];
  /** The run of each slot, and all of them in the order of their shares. */
  runs: string[];
  order: string[];
}

/** @param base what the addresses of slots begin with */
function leadingOf({ part, runs, order }: Plan, base: string): Leading {
  const indexes = runs.map((run) => order.indexOf(run));
  const ports = part.slots.flatMap((port, slot) =>
    port === null ? [] : [[String(port), indexes[slot] ?? 0] as const],
  );
  const links = part.slots.includes(null);
  return {
    runs: order,
    links: links ? base : "",
    slots: links ? indexes.join("") : "",
    ports: Object.fromEntries(ports),
  };
}

function planned({ config, shares }: RoutePart, upstream: "main" | "preview"): Plan {
  const link = slotLink(upstream, protocolOf(config.server));
  const addresses = slotAddresses(shares).map(parseAddress);
  const slots = addresses.map((address) => ("port" in address ? address.port : null));
  const sockets = addresses.map((address) => ("socket" in address ? address.socket : undefined));
  const owners = new Map(
    shares.flatMap(({ run, instances }) => instances.map(({ address }) => [address, run] as const)),
  );
  const runs = slotAddresses(shares).map((address) => owners.get(address) ?? "");
  return { part: { config, slots }, link, sockets, runs, order: shares.map(({ run }) => run) };
}
