import { setTimeout } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Clock, Share } from "../../../../agent/contracts/ports.ts";
import { systemClock } from "../../../../agent/host/clock.ts";
import { requestFile } from "../../../../agent/host/nginx/request-log.ts";
import { NginxTraffic } from "../../../../agent/host/nginx/traffic.ts";
import { RequestCounts } from "../../../../agent/host/requests/request-counts.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import type { Config } from "../../../../shared/config.ts";
import { type SiteHost, siteHost } from "../nginx/site-host.ts";
import { testConfig } from "../scratch.ts";

export const [v1, v2] = ["20260101T000000Z-aaaaaaa", "20260102T000000Z-bbbbbbb"];

/** Requests in the moment of a cutover belong to no run: so there are none. */
export async function apart(move: () => Promise<unknown>): Promise<void> {
  await setTimeout(100);
  await move();
  await setTimeout(100);
}

/** Counts the requests of a host's nginx, as an agent does. */
export async function counting(host: SiteHost, { clock = systemClock, trouble = [] as unknown[] } = {}) {
  const requests = new RequestCounts({
    places: requestPlaces(host.settings.data),
    clock,
    apps: async () => ["shop"],
    rotate: (app) => host.privileged.rotateRequests(app),
    onTrouble: (err) => trouble.push(err),
  });
  await requests.start();
  onTestFinished(() => requests.close());
  const traffic = new NginxTraffic(host.settings.data, host.privileged, requests);
  return {
    requests,
    traffic,
    file: requestFile(requestPlaces(host.settings.data), "shop"),
    route(shares: Share[], parts: object = {}, preview?: Share): Promise<unknown> {
      const config: Config = testConfig(parts);
      return traffic.route("shop", {
        main: { config, shares },
        preview: preview === undefined ? null : { config, shares: [preview] },
      });
    },
    /** Requests and answers of 5xx by run, of all times. */
    async counts(): Promise<Record<string, [requests: number, failed: number]>> {
      // nginx logs a request a moment after its answer.
      await setTimeout(100);
      await requests.read("shop");
      const { runs } = requests.counted("shop", { from: 0 });
      return Object.fromEntries(runs.map(({ run, requests: all, classes }) => [run ?? "none", [all, classes["5xx"]]]));
    },
    gap: (from = 0) => requests.counted("shop", { from }).gap,
  };
}

/** A host with an nginx, and an agent that counts. */
export async function countingHost() {
  const host = await siteHost();
  return { host, ...(await counting(host)) };
}

/** The time of this machine, set off by `off` milliseconds. */
export function setClock(): Clock & { off: number } {
  const clock = { ...systemClock, off: 0, now: () => Date.now() + clock.off };
  return clock;
}
