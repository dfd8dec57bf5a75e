import { afterEach, beforeEach, expect, test } from "vitest";
import { renderStatus } from "../../../../agent/cli/terminal/status.ts";
import { fakeAppView, fakeTimes } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
});
afterEach(() => host.close());

test("a site is closed, shown as closed, and opened", async () => {
  const allow = ["203.0.113.7", "2001:db8::7"];
  expect(await host.run(["maintenance", "on", "shop", "--allow", ...allow])).toEqual({
    exit: 0,
    err: "",
    out: "shop is closed for maintenance to all but 203.0.113.7, 2001:db8::7.\n",
  });
  expect((await host.run(["status", "shop"])).out).toContain(
    "  closed    for maintenance, 10m ago, but for 203.0.113.7, 2001:db8::7\n",
  );
  expect((await host.run(["maintenance", "on", "shop"])).out).toBe("shop is closed for maintenance to all visitors.\n");
  expect(JSON.parse((await host.run(["maintenance", "on", "shop", "--json"])).out)).toEqual({
    since: fakeTimes.made,
    allow: [],
  });
  expect((await host.run(["maintenance", "off", "shop"])).out).toBe("shop is open.\n");
  expect((await host.run(["status", "shop"])).out).not.toContain("maintenance");
  expect(host.service.calls.map(({ method, detail }) => [method, detail])).toEqual([
    ["maintain", { allow }],
    ["maintain", { allow: [] }],
    ["maintain", { allow: [] }],
    ["maintain", null],
  ]);
});

test("an app that the host does not have, and a command without an app", async () => {
  expect(await host.run(["maintenance", "on", "blog"])).toMatchObject({
    exit: 1,
    err: expect.stringContaining("app_not_found"),
  });
  expect(await host.run(["maintenance", "off"])).toMatchObject({ exit: 2 });
});

test("the status of a site that is closed to all", () => {
  const view = { ...fakeAppView(), maintenance: { since: fakeTimes.live, allow: [] } };
  const text = renderStatus(view, { style: (_, words) => words, now: Date.parse(fakeTimes.later) });
  expect(text).toContain("  closed    for maintenance, 9m ago\n");
});
