import { siteOf } from "../../../shared/config.ts";
import type { Site } from "../../../shared/config-site.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { SitePart } from "../../contracts/privileged.ts";
import { portAddress } from "../net/address.ts";
import { slotName } from "./slots.ts";
import { block, plain, quoted } from "./values.ts";

/** One upstream of an app. Its servers are the 60 slots, for sockets and for ports alike. */
export interface UpstreamInput {
  name: string;
  part: SitePart;
  /** The path of the link to the directory of slots. */
  links: string;
  /** Whether the peers of the configuration are in it too. A preview shows only this host. */
  peers: boolean;
  /** What the host's file says of them, in the place of the configuration. */
  host?: Pick<Site, "peers" | "weight">;
}

export function upstreamFileName(app: string): string {
  return `cutover-${app}.upstream.conf`;
}

/** The name of the site's upstream: the app's own. */
export function mainUpstream(app: string): string {
  return app;
}

/** The name of the preview's upstream. No app has a dot in its name. */
export function previewUpstream(app: string): string {
  return `${app}.preview`;
}

/** The name of the upstream of this host's instances alone, for requests that came from a peer. */
export function ownUpstream(app: string): string {
  return `${app}.own`;
}

/** The text of an app's upstreams. @param more other blocks of the http block @throws CutoverError config_invalid for a value that nginx could read as something other than a value */
export function renderUpstreams(upstreams: UpstreamInput[], more: string[][] = []): string {
  const blocks = upstreams.map((input) => block(`upstream ${plain(input.name)}`, upstream(input)));
  const texts = [...blocks, ...more].map((lines) => lines.join("\n"));
  return `# Written by cutover. Changes are lost.\n${texts.join("\n\n")}\n`;
}

function upstream({ name, part, links, peers, host }: UpstreamInput): string[] {
  const site = { ...siteOf(part.config), ...host };
  const { slot, peer } = weights(peers ? site : { ...site, peers: [] });
  const slots = part.slots.map((port, index) => ({ server: serverName(port, links, index), weight: slot }));
  const others = (peers ? site.peers : []).map((one, index) => ({ ...one, weight: peer[index] ?? 1 }));
  // nginx's consistent hash has one set of points for each name, however often the name stands there.
  const each = site.balance === "url_hash" ? onceEach : <S>(servers: S[]) => servers;
  return [
    ...balanceDirectives(site.balance, name),
    // nginx never disables a slot for its failures: its instance is up, or it is being replaced.
    ...each(slots).map(({ server, weight }) => `server ${quoted(server)} max_fails=0${weightSuffix(weight)};`),
    ...each(others).map(
      ({ server, weight, backup }) => `server ${quoted(server)}${weightSuffix(weight)}${backup ? " backup" : ""};`,
    ),
  ];
}

/** Each server once, where it comes first, with the sum of its weights. */
function onceEach<S extends { server: string; weight: number }>(servers: S[]): S[] {
  const sums = new Map<string, S>();
  for (const one of servers) {
    sums.set(one.server, { ...one, weight: one.weight + (sums.get(one.server)?.weight ?? 0) });
  }
  return [...sums.values()];
}

/**
 * The servers of the 60 slots of an upstream, from a text that renderUpstreams made. Their order is that of the slots, unless
 * the text has a server of several slots only once.
 */
export function serversOf(text: string, name: string): string[] {
  const lines = text.split("\n");
  const start = lines.indexOf(`upstream ${name} {`);
  if (start === -1) return [];
  const servers = lines.slice(start + 1, lines.indexOf("}", start)).flatMap((line) => {
    const [, server, weight = "1"] = /^ +server "([^"]+)" max_fails=0(?: weight=(\d+))?;$/.exec(line) ?? [];
    return server === undefined ? [] : [{ server, weight: Number(weight) }];
  });
  // All slots have the same weight, so a server with twice as much has two of them.
  const slot = servers.reduce((total, { weight }) => total + weight, 0) / slotCount;
  return servers.flatMap(({ server, weight }) => new Array<string>(Math.round(weight / slot)).fill(server));
}

/** A slot is a link to an instance, or a port. Moving the links is a cutover without a reload. */
function serverName(port: number | null, links: string, slot: number): string {
  return port === null ? `unix:${links}/${slotName(slot)}` : portAddress(port);
}

function balanceDirectives(balance: Site["balance"], name: string): string[] {
  switch (balance) {
    case "round_robin":
      return [];
    case "ip_hash":
      return ["ip_hash;"];
    case "least_conn":
      // Without a zone each worker counts only its own connections. nginx knows all zones by one name: that of TLS sessions
      // and that of a limit have others.
      return [`zone ${plain(`cutover-${name}.conns`)} 256k;`, "least_conn;"];
    case "url_hash":
      return ["hash $request_uri consistent;"];
  }
}

function weightSuffix(weight: number): string {
  return weight === 1 ? "" : ` weight=${weight}`;
}

interface Weights {
  slot: number;
  /** One for each peer. */
  peer: number[];
}

/**
 * All slots together have the weight `site.weight`, and each peer its own. In whole numbers: the site's weight on each slot
 * and 60 times a peer's weight, divided by their common divisor.
 */
function weights({ balance, weight, peers }: Site): Weights {
  const wanted = peers.map((peer) => slotCount * peer.weight);
  const divisor = wanted.reduce(commonDivisor, weight);
  // Without peers all slots have the same share, whatever the weight is.
  if (peers.length === 0) return { slot: 1, peer: [] };
  const exact = { slot: weight / divisor, peer: wanted.map((one) => one / divisor) };
  return balance === "ip_hash" || balance === "url_hash" ? small(exact) : exact;
}

/** ip_hash has 6,271 values, and a consistent hash keeps 160 points for each weight: both need a small sum. */
const smallSum = 360;

/** The smallest weights with nearly the same shares: none differs by more than half a percentage point. */
function small(exact: Weights): Weights {
  if (sum(exact) <= smallSum) return exact;
  const candidates = Array.from({ length: exact.slot }, (_, index) => {
    const slot = index + 1;
    return { slot, peer: exact.peer.map((one) => Math.max(1, Math.round((one * slot) / exact.slot))) };
  });
  return (
    candidates.find((near) => shares(near).every((share, n) => Math.abs(share - (shares(exact)[n] ?? 0)) <= 0.005)) ??
    exact
  );
}

function shares(of: Weights): number[] {
  return of.peer.map((one) => one / sum(of));
}

function sum({ slot, peer }: Weights): number {
  return peer.reduce((total, one) => total + one, slotCount * slot);
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
