import { describe, expect, it } from "vitest";
import { configSchema } from "../../shared/config.ts";
import { linkedPaths } from "../../shared/config-site.ts";

const parse = (parts: object) =>
  configSchema.safeParse({ app: "shop", server: { kind: "gunicorn", app: "shop:app" }, ...parts });
const faults = (parts: object) =>
  parse(parts).error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);

describe("shared", () => {
  it("takes a file, a folder, and a folder that nginx serves", () => {
    const shared = [
      { path: "db.sqlite3" },
      { path: "instance/" },
      { path: "media/", url: "/media/", from: "uploads/" },
    ];
    expect(linkedPaths(parse({ shared }).data?.shared ?? [])).toEqual([
      { path: "db.sqlite3", place: "db.sqlite3", folder: false },
      { path: "instance", place: "instance", folder: true },
      { path: "media", place: "uploads", folder: true },
    ]);
  });

  it.each([
    [{}, "shared.0: needs `path`, `url` or both"],
    [{ url: "/media/" }, "shared.0: needs `from`, or the `path` of a folder of the project"],
    [{ path: "media", url: "/media/" }, "shared.0.path: must end with / where nginx serves it: it is a folder"],
  ])("refuses %j", (one, message) => {
    expect(faults({ shared: [one] })).toEqual([message]);
  });

  it.each(["/etc/passwd", "../x", "a/../x", "a//b", ".", "./db", "a\\b", "$x", ".cutover/seed", ""])(
    "refuses the path %j",
    (path) => {
      expect(parse({ shared: [{ path }] }).success).toBe(false);
    },
  );

  it("refuses a link inside of another one", () => {
    expect(faults({ shared: [{ path: "var/" }, { path: "var/db.sqlite3" }] })).toEqual([
      "shared.0.path: overlaps var/db.sqlite3, which is a link too",
      "shared.1.path: overlaps var, which is a link too",
    ]);
    const statics = [{ url: "/static/", from: "./public" }];
    expect(faults({ static: statics, shared: [{ path: "public/media/" }] })).toEqual([
      "shared.0.path: overlaps public, which is a link too",
    ]);
  });
});
