import { expect, test } from "vitest";
import { ask } from "../agent/host/nginx/site-host.ts";
import { Fleet, get, versionOf } from "./hosts.ts";

test("a site is closed and opened by hand; a deploy and a new agent in between leave it closed", async () => {
  await using fleet = await Fleet.start(1);
  const [host] = fleet.hosts;
  if (host === undefined) throw new Error("no host");
  const { agent, site } = host;
  await fleet.deploy({ version: "v1" });

  const on = await agent.cutover("maintenance", "on", "shop", "--allow", "127.0.0.7");
  expect([on.code, on.stdout]).toEqual([0, "shop is closed for maintenance to all but 127.0.0.7.\n"]);
  await fleet.deploy({ version: "v2" });
  await agent.kill();
  await agent.start();
  expect(await get(site, "/version")).toMatchObject({ status: 503, text: expect.stringContaining("maintenance") });
  expect((await ask(Number(new URL(site).port), "/version", { from: "127.0.0.7" })).text).toContain("v2");
  expect((await agent.cutover("status", "shop")).stdout).toMatch(
    /closed {4}for maintenance, .+ ago, but for 127\.0\.0\.7\n/,
  );

  const wrong = await agent.cutover("maintenance", "on", "shop", "--allow", "localhost");
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('"localhost" is no IP address.')]);
  expect((await agent.cutover("maintenance", "off", "shop")).stdout).toBe("shop is open.\n");
  expect((await versionOf(site)).version).toBe("v2");
}, 60_000);
