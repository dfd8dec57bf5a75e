import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fault, quickShop } from "../fixtures/shop.ts";
import { freePortRange } from "../harness/ports.ts";
import { BadHost } from "./bad-host.ts";
import { expectFailedHost } from "./bad-result.ts";
import { versionOf } from "./hosts.ts";
import { steadyVisitors } from "./steady-visitors.ts";

/** Releases of each kind on the kinds of server that visitors.test.ts and visitors-on-three-hosts.test.ts leave out. */
const servers = {
  sockets: quickShop.server,
  ports: { ...quickShop.server, bind: "port" },
  uwsgi: { ...quickShop.server, kind: "uwsgi" },
} as const;

let host: BadHost;
let visitors: AsyncDisposable;
let turn = 1;

beforeAll(async () => {
  host = await BadHost.start({ name: "servers" });
  await host.agent.changeAppSettings("shop", { ports: await freePortRange(8) });
  await host.run(await host.project({ version: "v1", config: { watch: "0s" } }));
  visitors = steadyVisitors(host.site);
  // What the first of these releases is compared with.
  await sleep(8000);
});
afterAll(async () => {
  await visitors?.[Symbol.asyncDispose]();
  await host?.[Symbol.asyncDispose]();
});

async function deployed(server: keyof typeof servers, config: object, fault?: Fault) {
  const version = `v${++turn}`;
  const before = (await versionOf(host.site)).version;
  const options = { version, config: { ...config, server: servers[server] }, ...(fault !== undefined && { fault }) };
  const result = await host.run(await host.project(options));
  return { result, before, version, live: (await versionOf(host.site)).version };
}

test.each([
  ["sockets", "three-times-as-slow", /its visitors waited too long in \d+ requests: p50 \d+ ms.*; before: p50 \d+ ms/],
  ["ports", "one-page-fails", /requests of its visitors answered 5xx; before: 0\.0 % of [\d,]+\. Most of them: \/env/],
] as const)("on %s: %s is taken back", async (server, fault, says) => {
  // A watch of half a minute takes it back, or nothing does.
  const { result, before, live } = await deployed(server, { watch: "30s" }, fault);
  expectFailedHost(result, host.name, { code: "visitors_failed", says: [says], log: [] });
  expect(live).toBe(before);
});

const well = /is judged by its visitors, and (?:not found|no) worse: 0\.0 % of \d+ requests answered 5xx/;

test.each([
  ["uwsgi", "as good", undefined],
  ["ports", "better", "quicker"],
  ["uwsgi", "better", "quicker"],
] as const)("on %s: one that is %s stays", async (server, _how, fault) => {
  // As the one before a better one is: not better already.
  if (fault !== undefined) await deployed(server, { watch: "0s", judge: "off" });
  await sleep(fault === undefined ? 0 : 3000);
  const { result, version, live } = await deployed(server, { watch: "6s" }, fault);
  expect(result.exitCode, result.stdout).toBe(0);
  expect(result.stdout).toMatch(well);
  expect(live).toBe(version);
});
