import { latencyBucket } from "../../contracts/requests.ts";

/** A request as nginx logged it; agent/host/nginx/request-log.ts has the format. */
export interface RequestLine {
  /** When it ended, in milliseconds since the epoch. */
  time: number;
  status: number;
  /** How long it took for nginx, in milliseconds. */
  took: number;
  bytes: number;
  /** What answered last, in nginx's notation, with its status and how long it took. Absent if nginx asked nobody. */
  upstream?: { address: string; status: number; took: number };
  /** The path without its query, if the status is 5xx; otherwise empty. */
  path: string;
}

const format = /^(\d{10}\.\d{3}) (\d{3}) (\d{1,9}\.\d{3}) (\d{1,15}) "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)"$/;

/** undefined for what nginx did not write, or not to its end. */
export function parseRequestLine(line: string): RequestLine | undefined {
  const [, time, status, took, bytes, statuses = "", times = "", addresses = "", path = ""] = format.exec(line) ?? [];
  if (time === undefined) return undefined;
  const [address, answered, tookThere] = [last(addresses), last(statuses), last(times)];
  return {
    time: Math.round(Number(time) * 1000),
    status: Number(status),
    took: Math.round(Number(took) * 1000),
    bytes: Number(bytes),
    // Without a time nobody was asked: then the address is the name of an upstream.
    ...(tookThere !== "-" && {
      upstream: { address, status: Number(answered) || 0, took: Math.round(Number(tookThere) * 1000) || 0 },
    }),
    path,
  };
}

/** nginx writes one value for each instance that it asked: with a comma between, or a colon after an internal redirect. */
function last(values: string): string {
  const at = Math.max(values.lastIndexOf(", "), values.lastIndexOf(" : ") + 1);
  return at <= 0 ? values || "-" : values.slice(at + 2);
}

/** Where an answer counts: `Counts.latency`; undefined for an upgraded connection, which lasts as long as its visitor wants. */
export function latencyOf({ status, took, upstream }: RequestLine): { ms: number; bucket: number } | undefined {
  if (status === 101) return undefined;
  const ms = upstream?.took ?? took;
  return { ms, bucket: latencyBucket(ms) };
}
