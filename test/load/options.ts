/**
 * What is asked for: a quick GET, a small POST, a GET that the app answers after a while, an upload that trickles in, and a
 * page on which a release may fail.
 */
export const kinds = ["get", "post", "slow", "upload", "page"] as const;
export type Kind = (typeof kinds)[number];

export interface LoadOptions {
  /** The site, on this machine or a host of test/lab: `http://127.0.0.1:8080`. */
  url: string;
  /** Requests a second, whatever the answers do. */
  rate?: number;
  /** Parts of the requests by kind; they need not add up to 1. */
  shares?: Partial<Record<Kind, number>>;
  /** The part of the requests, from 0 to 1, that opens a connection of its own. */
  fresh?: number;
  /** The Host header, where it is not the URL's. */
  host?: string;
  /** The page on which a release may fail. */
  page?: string;
  /** How long slow requests and uploads take, in milliseconds. */
  slowMs?: number;
  /** After this a request has failed, in milliseconds. */
  timeoutMs?: number;
  /** More requests at the same time are not sent, and counted as failed. */
  maxInFlight?: number;
  /** The load ends by itself after this, in milliseconds. */
  longestMs?: number;
  seed?: number;
}

export type CheckedOptions = Required<LoadOptions>;

/** Slow requests hold a thread of the app each: at 300 a second these are 3 new ones a second, 6 at a time. */
const defaultShares: Partial<Record<Kind, number>> = { get: 0.74, post: 0.24, slow: 0.01, upload: 0.01 };

const loopback = ["127.0.0.1", "localhost", "[::1]"];
/** RFC 5737's first network for documentation: no host has such an address but those of test/lab, in a network of their own. */
const lab = /^192\.0\.2\.\d+$/;

/** @throws RangeError for a load that would leave this machine or know no end */
export function checkOptions(options: LoadOptions): CheckedOptions {
  const url = new URL(options.url);
  if (url.protocol !== "http:" || !(loopback.includes(url.hostname) || lab.test(url.hostname))) {
    throw new RangeError(`load goes to this machine alone, not to ${options.url}`);
  }
  const checked = {
    url: url.origin,
    rate: options.rate ?? 300,
    shares: options.shares ?? defaultShares,
    fresh: options.fresh ?? 0.5,
    host: options.host ?? url.host,
    page: options.page ?? "/env?name=CUTOVER_RELEASE",
    slowMs: options.slowMs ?? 2000,
    timeoutMs: options.timeoutMs ?? 15_000,
    maxInFlight: options.maxInFlight ?? 2000,
    longestMs: options.longestMs ?? 15 * 60_000,
    seed: options.seed ?? 1,
  };
  within("rate", checked.rate, 0.1, 5000);
  within("fresh", checked.fresh, 0, 1);
  within("timeoutMs", checked.timeoutMs, 1, 120_000);
  within("slowMs", checked.slowMs, 0, 30_000);
  within("maxInFlight", checked.maxInFlight, 1, 10_000);
  within("longestMs", checked.longestMs, 1, 60 * 60_000);
  return checked;
}

function within(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) throw new RangeError(`${name} must be from ${low} to ${high}, not ${value}`);
}

/** Which kind a number from 0 up to 1 falls on. */
export function kindAt(shares: Partial<Record<Kind, number>>, point: number): Kind {
  const total = kinds.reduce((sum, kind) => sum + (shares[kind] ?? 0), 0);
  let left = point * total;
  for (const kind of kinds) {
    left -= shares[kind] ?? 0;
    if (left < 0) return kind;
  }
  return "get";
}
