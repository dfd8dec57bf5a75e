import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listFiles, makeManifest, readForBundle } from "../../../action/bundle/manifest.ts";
import { encodeManifest, parseManifest } from "../../../shared/manifest.ts";
import { packFiles, packProject } from "../../harness/pack.ts";
import { configOf, never, refusal, Workspace } from "../workspace.ts";

const made = new Date("2026-11-21T10:30:00Z");
const commit = "3f2c1ab".padEnd(40, "0");
const long = `${"a".repeat(120)}/${"b".repeat(150)}.txt`;

function project(): Workspace {
  const space = new Workspace({
    "p/shop/wsgi.py": "application = 1\n",
    "p/über.txt": "ü",
    "p/empty": "",
    [`p/${long}`]: "long",
    "p/static/css/a.css": "a {}",
    "out/x": "",
    "again/x": "",
  });
  space.write("p/big.bin", Buffer.alloc(2_500_001, "x"));
  space.write("p/bin/run", "#!/bin/sh\n", 0o755);
  return space;
}

const config = configOf({ static: [{ url: "/static/", from: "static" }] });

function pack(space: Workspace, into = "out") {
  const parts = { config, directory: space.at("p"), wheels: [], made, commit, repository: "o/shop" };
  return packProject({ ...parts, into: space.at(into), signal: never });
}

describe("a bundle", () => {
  it("has the same bytes for the same input", async () => {
    using space = project();
    const first = await pack(space);
    utimesSync(space.at("p/big.bin"), 1, 1);
    const second = await pack(space, "again");
    expect(readFileSync(second.bundle).equals(readFileSync(first.bundle))).toBe(true);
    expect(second.digest).toBe(first.digest);
    expect(first.manifest.release).toBe("20261121T103000Z-3f2c1ab");
  });

  it("is a tar that other programs read: the manifest first, then its files in its order, collected ones in static/", async () => {
    using space = project();
    const { bundle, manifest, digest } = await pack(space);
    const names = execFileSync("tar", ["--zstd", "--quoting-style=literal", "-tf", bundle], { encoding: "utf8" }).split(
      "\n",
    );
    expect(names.slice(0, -1)).toEqual(["manifest.json", ...manifest.files.map(({ path }) => path)]);
    expect(names).toContain("static/static/css/a.css");
    expect(names).not.toContain("app/static/css/a.css");
    execFileSync("tar", ["--zstd", "-xf", bundle, "-C", space.at("out")]);
    const packed = readFileSync(space.at("out/manifest.json"));
    expect(`sha256:${createHash("sha256").update(packed).digest("hex")}`).toBe(digest);
    expect(parseManifest(packed)).toEqual(manifest);
    expect(readFileSync(space.at("out/app/big.bin")).equals(readFileSync(space.at("p/big.bin")))).toBe(true);
    expect(readFileSync(space.at(`out/app/${long}`), "utf8")).toBe("long");
    expect(manifest.files.find(({ path }) => path === "app/bin/run")?.mode).toBe(0o755);
  });

  it("names its release after the content if there is no commit", async () => {
    using space = project();
    const files = readForBundle(listFiles(config, space.at("p"), []));
    const request = { config, made, commit: "", repository: "" };
    const before = makeManifest({ ...request, files }).release;
    expect(makeManifest({ ...request, files }).release).toBe(before);
    space.write("p/empty", "no longer");
    const changed = readForBundle(listFiles(config, space.at("p"), []), files);
    expect(makeManifest({ ...request, files: changed }).release).not.toBe(before);
  });

  it.each([
    ["has other content", (path: string) => writeFileSync(path, "other of size 17")],
    ["has grown", (path: string) => writeFileSync(path, "application = 1\nmore\n")],
    ["has shrunk", (path: string) => writeFileSync(path, "")],
  ])("is not made when a file %s since the manifest was", async (_, change) => {
    using space = project();
    const files = readForBundle(listFiles(config, space.at("p"), []));
    const manifest = makeManifest({ config, files, made, commit, repository: "" });
    change(space.at("p/shop/wsgi.py"));
    const error = await refusal(() => packFiles(manifest, files, space.at("out"), never));
    expect(error.code).toBe("file_changed");
    expect(error.message).toContain("app/shop/wsgi.py");
    expect(readdirSync(space.at("out"))).toEqual(["x"]);
  });

  it("is not made when a file is gone since the manifest was", async () => {
    using space = project();
    const files = readForBundle(listFiles(config, space.at("p"), []));
    const manifest = makeManifest({ config, files, made, commit, repository: "" });
    execFileSync("rm", [space.at("p/über.txt")]);
    expect((await refusal(() => packFiles(manifest, files, space.at("out"), never))).code).toBe("file_changed");
  });

  it("has a manifest that obeys the format", () => {
    using space = project();
    const files = readForBundle(listFiles(config, space.at("p"), []));
    const manifest = makeManifest({ config, files, made, commit, repository: "" });
    expect(parseManifest(encodeManifest(manifest))).toEqual(manifest);
  });

  it("has no file of 8 GiB, which is refused before it is read", async () => {
    using space = project();
    space.write("p/huge.bin", "");
    truncateSync(space.at("p/huge.bin"), 8 * 1024 ** 3);
    const { code, message } = await refusal(() => pack(space));
    expect([code, message]).toEqual(["path_not_allowed", "app/huge.bin has 8 GiB or more."]);
  });
});
