import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeAppView } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

const staged = "20261122T090000Z-2222222";
let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
  host.service.views.set("shop", { ...fakeAppView(), staged, weight: 25 });
});
afterEach(() => host.close());

const begun = () => host.service.calls.filter(({ method }) => method === "redeploy").length;

test("a redeploy asks before it removes what is staged", async () => {
  const refused = await host.run(["redeploy", "shop", "--no-follow"], { typed: "n" });
  expect(refused.err).toBe(`Note: ${staged} is staged, with 25 % of the traffic, and a redeploy removes it.\n`);
  expect(refused.out).toContain("Redeploy shop, and remove what is staged? [y/N]");
  expect(refused.out).toContain("Nothing was changed.");
  expect(begun()).toBe(0);
  await host.run(["redeploy", "shop", "--no-follow"], { typed: "y" });
  expect(begun()).toBe(1);
});

test("it does not ask with --yes, or if nobody can answer, and still says it", async () => {
  for (const [options, typed] of [
    [["--yes"], "n"],
    [[], undefined],
  ] as const) {
    const ran = await host.run(["redeploy", "shop", "--no-follow", ...options], typed === undefined ? {} : { typed });
    expect(ran.err).toContain("a redeploy removes it");
  }
  expect(begun()).toBe(2);
});
