import { lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { linkShared } from "../../../../agent/host/bundle/link-shared.ts";
import { sharedSchema } from "../../../../shared/config-site.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cutover-link-"));
  mkdirSync(join(root, "app"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const link = (...shared: object[]) =>
  linkShared(
    root,
    shared.map((one) => sharedSchema.parse(one)),
  );

describe("links into the shared directory", () => {
  it("lead from their place in the release to their place there", () => {
    link({ path: "db.sqlite3" }, { path: "var/log/", from: "logs" }, { url: "/media/", from: "media" });
    expect(readlinkSync(join(root, "app/db.sqlite3"))).toBe("../../../shared/db.sqlite3");
    expect(readlinkSync(join(root, "app/var/log"))).toBe("../../../../shared/logs");
    expect(lstatSync(join(root, "app/var")).mode & 0o777).toBe(0o755);
  });

  it("never take the place of what the bundle has, nor go through it", () => {
    writeFileSync(join(root, "app/db.sqlite3"), "");
    mkdirSync(join(root, "static"));
    symlinkSync("../static", join(root, "app/collected"));
    writeFileSync(join(root, "app/file"), "");
    for (const path of ["db.sqlite3", "collected/x", "file/x/y"]) {
      expect(() => link({ path }), path).toThrow(`The bundle has something at ${path}`);
    }
  });
});
