import { expect, test } from "vitest";
import { appLayout } from "../../../../agent/host/store/layout.ts";

test("everything of an app lies below its own directory", () => {
  const layout = appLayout("/data", "shop");
  const id = "20261121T103000Z-3f2c1ab";
  const { published, ...places } = layout;
  const links = (["current", "canary", "previous", "staged"] as const).map(published);
  const paths = [...links, ...Object.values(places).map((path) => (typeof path === "string" ? path : path(id)))];
  expect(paths.every((path) => `${path}/`.startsWith("/data/apps/shop/"))).toBe(true);
  expect(new Set(paths).size).toBe(paths.length);
  expect(layout.app(id)).toBe(`/data/apps/shop/releases/${id}/app`);
  expect(layout.deployments).toBe("/data/apps/shop/logs/deployments");
});
