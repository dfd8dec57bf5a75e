import { expect, test } from "vitest";
import { pathOf } from "../../shared/call.ts";
import { calls } from "../../shared/protocol.ts";

const release = "20261121T103000Z-3f2c1ab";

test("a path holds its names, escaped, so that none can name another call", () => {
  expect(pathOf(calls.activate, { app: "shop", release })).toBe(`/v1/apps/shop/releases/${release}/activate`);
  expect(pathOf(calls.app, { app: "../blog?a=b#c" })).toBe("/v1/apps/..%2Fblog%3Fa%3Db%23c");
  expect(pathOf(calls.apps, {})).toBe("/v1/apps");
});

test("a query holds what is given of it, and nothing for what is undefined", () => {
  const query = { activate: false, release_command: true, wait: 5, base: undefined };
  expect(pathOf(calls.deploy, { app: "shop" }, query)).toBe(
    "/v1/apps/shop/releases?activate=false&release_command=true&wait=5",
  );
  expect(pathOf(calls.history, {}, { app: undefined })).toBe("/v1/history");
});

test.each([
  [calls.deploy, { activate: false, release_command: false, wait: 3600, lease: 300, base: release }],
  [calls.deployment, { wait: 60 }],
  [calls.events, { after: 7 }],
  [calls.logs, { lines: 50, run: `${release}.2` }],
  [calls.history, { app: "shop", since: "2026-11-21T10:30:00Z", limit: 10 }],
])("the server reads from the URL what the caller gave: $path", ({ query, ...call }, given) => {
  const url = new URL(pathOf(call as typeof calls.deploy, { app: "a" }, given as object), "http://host");
  expect(query.parse(Object.fromEntries(url.searchParams))).toEqual(given);
});
