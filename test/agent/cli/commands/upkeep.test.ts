import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeAppView } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

const live = "20261121T103000Z-3f2c1ab";
const before = "20261120T090000Z-9d8e7f6";
let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
});
afterEach(() => host.close());

/** The live release ran its release command. */
function migrated(): void {
  const view = fakeAppView();
  for (const release of view.releases) if (release.id === live) release.commanded = true;
  host.service.views.set("shop", view);
}

const rolledBack = () => host.service.calls.filter(({ method }) => method === "rollback").length;

test("H3 heal starts fresh instances of each app whose environment is gone, and of no other", async () => {
  expect((await host.run(["heal"])).out).toBe("The environment of each live release is there.\n");
  expect(host.service.calls.filter(({ method }) => method === "redeploy")).toEqual([]);
  host.service.views.set("shop", { ...fakeAppView(), unbuilt: true });
  expect((await host.run(["status", "shop"])).out).toContain("`cutover heal shop` builds it again");
  host.service.script = [{ type: "state", state: "healthy", took: 1 }];
  const onOutput = () => {
    for (const id of host.service.began) host.service.finish(id, "succeeded");
  };
  const { exit, out } = await host.run(["heal"], { onOutput });
  expect(out).toMatch(/^shop\n/);
  expect(exit).toBe(0);
  expect(host.service.calls.filter(({ method }) => method === "redeploy")).toHaveLength(1);
});

describe("a rollback over a release that ran its release command", () => {
  test("says so before it goes, and asks a person", async () => {
    migrated();
    const refused = await host.run(["rollback", "shop", "--no-follow"], { typed: "n" });
    expect(refused.exit).toBe(0);
    expect(refused.err).toBe(`Note: release ${live} ran its release command; a rollback does not undo it.\n`);
    expect(refused.out).toContain(`Roll shop back to ${before}? [y/N]`);
    expect(refused.out).toContain("Nothing was changed.");
    expect(rolledBack()).toBe(0);
    expect((await host.run(["rollback", "shop", "--no-follow"], { typed: "y" })).out).toContain(
      `The deployment of ${before} has begun`,
    );
    expect(rolledBack()).toBe(1);
  });

  test.each([
    ["with --yes", ["--yes"], "n"],
    ["without a terminal", [], undefined],
    ["with --json", ["--json"], "n"],
  ])("goes %s without asking, and still says it", async (_how, options, typed) => {
    migrated();
    const ran = await host.run(["rollback", "shop", "--no-follow", ...options], typed === undefined ? {} : { typed });
    expect(ran.exit).toBe(0);
    expect(ran.err).toContain("a rollback does not undo it");
    expect(rolledBack()).toBe(1);
  });

  test("says nothing if no release ran one", async () => {
    const { err } = await host.run(["rollback", "shop", "--no-follow"], { typed: "n" });
    expect(err).toBe("");
    expect(rolledBack()).toBe(1);
  });
});

describe("cutover verify", () => {
  test("says of each app that all is as it was unpacked", async () => {
    const { out, exit } = await host.run(["verify"]);
    expect(out).toMatch(/^shop: all as it was unpacked \(\d releases?, 2,947 files, 40 MB hashed\)\.\n$/);
    expect(exit).toBe(0);
  });

  test("names what differs and what to do, and ends with 1", async () => {
    host.service.storeFaults = [
      { path: "objects/ab/cd", what: "changed" },
      { release: live, path: "app/\u001b[2Jshop.py", what: "missing" },
    ];
    const { out, exit } = await host.run(["verify", "shop"]);
    expect(out).toContain("shop: not as it was unpacked");
    expect(out).toContain("  objects/ab/cd: changed\n");
    expect(out).toMatch(new RegExp(`releases/${live}/app/.*shop\\.py: missing`));
    expect(out).not.toContain("\u001b[2J");
    expect(out).toContain(
      `Deploy again: the new release gets these files from the workflow, and no file that differs. Do not go back to ${live}.`,
    );
    expect(exit).toBe(1);
    const { out: json } = await host.run(["verify", "shop", "--json"]);
    expect(JSON.parse(json)).toMatchObject({ verified: [{ app: "shop", faults: host.service.storeFaults }] });
  });
});

test("a pinned release stands so in the list, until it is unpinned", async () => {
  expect((await host.run(["pin", "shop", before])).out).toBe(`${before} of shop is pinned.\n`);
  expect((await host.run(["releases", "shop"])).out).toMatch(new RegExp(`${before}\\s+good, pinned`));
  expect((await host.run(["unpin", "shop", before])).out).toBe(`${before} of shop is not pinned.\n`);
  expect((await host.run(["releases", "shop"])).out).not.toContain("pinned");
  const missing = await host.run(["pin", "shop", "20261121T110000Z-1234567"]);
  expect([missing.exit, missing.err]).toEqual([1, expect.stringContaining("release_not_found")]);
});

test("repair says what it did, and ends with 1 if the app is still held", async () => {
  expect(await host.run(["repair", "shop"])).toEqual({
    exit: 0,
    err: "",
    out: "- tried again\nshop takes deployments.\n",
  });
  host.service.views.set("shop", { ...fakeAppView(), held: "supervisord is down" });
  const held = await host.run(["repair", "shop"]);
  expect([held.exit, held.out]).toEqual([1, "- tried again\nshop is still held: supervisord is down\n"]);
});
