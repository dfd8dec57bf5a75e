import { siteOf } from "../../../shared/config.ts";
import type { Site } from "../../../shared/config-site.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { SitePart } from "../../contracts/privileged.ts";
import { portAddress } from "../net/address.ts";
import { block, plain, quoted } from "./nginx-values.ts";
import { slotName } from "./slots.ts";

/** One upstream of an app: its servers are the 60 slots, so that what moves is the same for sockets and for ports. */
export interface UpstreamInput {
  name: string;
  part: SitePart;
  /** The link to the directory of slots whose sockets the upstream uses. */
  links: string;
  /** Whether the peers of the configuration are in it too: a preview shows this host alone. */
  peers: boolean;
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

/** @throws CutoverError config_invalid for a value that nginx could read as something else than a value */
export function renderUpstreams(upstreams: UpstreamInput[]): string {
  const blocks = upstreams.map((input) => block(`upstream ${plain(input.name)}`, upstream(input)).join("\n"));
  return `# Written by cutover. Changes are lost.\n${blocks.join("\n\n")}\n`;
}

function upstream({ name, part, links, peers }: UpstreamInput): string[] {
  const site = siteOf(part.config);
  const { slot, peer } = weights(peers ? site : { ...site, peers: [] });
  const servers = part.slots.map((port, index) => serverName(port, links, index));
  return [
    ...balancing(site.balance, name),
    // A slot is never taken out for its failures: its instance is either up or being replaced.
    ...servers.map((server) => `server ${quoted(server)} max_fails=0${weighing(slot)};`),
    ...(peers ? site.peers : []).map(
      ({ server, backup }, index) => `server ${quoted(server)}${weighing(peer[index] ?? 1)}${backup ? " backup" : ""};`,
    ),
  ];
}

/** The servers of the slots of an upstream in a text that renderUpstreams made. */
export function serversOf(text: string, name: string): string[] {
  const lines = text.split("\n");
  const start = lines.indexOf(`upstream ${name} {`);
  if (start === -1) return [];
  const body = lines.slice(start + 1, lines.indexOf("}", start));
  return body.flatMap((line) => /^ +server "([^"]+)" max_fails=0(?: weight=\d+)?;$/.exec(line)?.[1] ?? []);
}

/** Links to instances: moving them is the cutover, and nginx is not told. */
function serverName(port: number | null, links: string, slot: number): string {
  return port === null ? `unix:${links}/${slotName(slot)}` : portAddress(port);
}

function balancing(balance: Site["balance"], name: string): string[] {
  switch (balance) {
    case "round_robin":
      return [];
    case "ip_hash":
      return ["ip_hash;"];
    case "least_conn":
      // Without a zone each worker process counts only its own connections.
      return [`zone ${plain(`cutover-${name}`)} 256k;`, "least_conn;"];
    case "url_hash":
      return ["hash $request_uri consistent;"];
  }
}

function weighing(weight: number): string {
  return weight === 1 ? "" : ` weight=${weight}`;
}

interface Weights {
  slot: number;
  /** One for each peer. */
  peer: number[];
}

/**
 * The slots together weigh `site.weight`, each peer its own weight, in whole numbers: 60 times a peer's weight beside the
 * site's on each slot, without their common divisor.
 */
function weights({ balance, weight, peers }: Site): Weights {
  const wanted = peers.map((peer) => slotCount * peer.weight);
  const divisor = wanted.reduce(commonDivisor, weight);
  // Without peers all slots weigh the same, whatever their weight.
  if (peers.length === 0) return { slot: 1, peer: [] };
  const exact = { slot: weight / divisor, peer: wanted.map((one) => one / divisor) };
  return balance === "ip_hash" || balance === "url_hash" ? small(exact) : exact;
}

/** ip_hash has 6,271 values, and a consistent hash keeps 160 points for each weight: both want a small sum. */
const smallSum = 360;

/** The smallest weights near to these: no share differs by more than half a point. */
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
