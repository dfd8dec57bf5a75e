import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeBundle } from "../../../fixtures/bundle.ts";
import { files, host, id } from "./unpacking-host.ts";

describe("a bundle", () => {
  test.each(["zstd", "gzip"] as const)("packed with %s is unpacked as its manifest says", async (compression) => {
    const { unpack, layout, left, releases } = host();
    const bundle = makeBundle({ files, compression });
    const { digest, manifest } = await unpack(bundle.bytes);
    expect(digest).toBe(bundle.digest);
    expect(manifest).toEqual(bundle.manifest);
    expect(left()).toEqual([id]);
    for (const file of bundle.manifest.files) {
      const status = lstatSync(join(layout.release(id), file.path));
      expect([file.path, status.mode & 0o7777, status.size]).toEqual([file.path, file.mode, file.size]);
    }
    const large = readFileSync(join(layout.app(id), "large.bin"));
    expect(large.equals(files["app/large.bin"] as Buffer)).toBe(true);
    expect(statSync(join(layout.app(id), "shop")).mode & 0o7777).toBe(0o755);
    expect(await releases.config("shop", id)).toEqual(bundle.manifest.config);
  });

  test("comes out the same from pieces of any size", async () => {
    for (const piece of [1, 7, 511, 1_000_000]) {
      const { unpackSigned, left } = host();
      const bundle = makeBundle({ files: { "app/größe.py": "x = 1\n", "app/b.bin": Buffer.alloc(5000, 1) } });
      await unpackSigned(bundle.bytes, bundle, piece);
      expect(left()).toEqual([id]);
    }
  });

  test("gives its files times by their contents, so that nginx's ETag stays with an unchanged file", async () => {
    const { unpack, layout } = host();
    const next = "20261121T110000Z-3f2c1ac";
    const same = { "static/static/site.css": "body {}\n" };
    const swapped = [
      { "static/static/a.css": "a { }", "static/static/b.css": "b { }" },
      { "static/static/a.css": "b { }", "static/static/b.css": "a { }" },
    ] as const;
    const etag = (release: string, name: string) => {
      const { size, mtimeMs } = statSync(join(layout.static(release), "static", name));
      return `${mtimeMs / 1000}-${size}`;
    };
    await unpack(makeBundle({ files: { ...same, ...swapped[0] }, created: "2026-11-21T10:30:00Z" }).bytes);
    const made = { files: { ...same, ...swapped[1] }, created: "2026-11-21T11:00:00Z", release: next };
    await unpack(makeBundle(made).bytes);
    expect(etag(next, "site.css")).toBe(etag(id, "site.css"));
    expect(etag(id, "a.css")).not.toBe(etag(id, "b.css"));
    expect([etag(next, "a.css"), etag(next, "b.css")]).toEqual([etag(id, "b.css"), etag(id, "a.css")]);
    const ages = ["a.css", "b.css", "site.css"].map(
      (name) => Date.parse("2026-11-21T10:30:00Z") - statSync(join(layout.static(id), "static", name)).mtimeMs,
    );
    for (const age of ages) expect(age >= 0 && age < 86_400_000).toBe(true);
    // The same on all hosts of a release.
    const other = host();
    await other.unpack(makeBundle({ files: { ...same, ...swapped[0] }, created: "2026-11-21T10:30:00Z" }).bytes);
    expect(statSync(join(other.layout.static(id), "static/a.css")).mtimeMs).toBe(
      statSync(join(layout.static(id), "static/a.css")).mtimeMs,
    );
  });

  test("is not touched by the agent's umask", async () => {
    const { unpack, layout } = host();
    const before = process.umask(0o077);
    try {
      await unpack(makeBundle({ files }).bytes);
    } finally {
      process.umask(before);
    }
    expect(statSync(layout.release(id)).mode & 0o777).toBe(0o755);
    expect(statSync(join(layout.app(id), "shop/wsgi.py")).mode & 0o777).toBe(0o644);
  });

  test("with padding as GNU tar writes it is taken", async () => {
    const { unpack, left } = host();
    await unpack(makeBundle({ end: Buffer.alloc(10_240) }).bytes);
    expect(left()).toEqual([id]);
  });

  test("of the same id replaces what an interrupted unpack left", async () => {
    const { unpack, layout, left } = host();
    mkdirSync(join(layout.partial(id), "app"), { recursive: true });
    writeFileSync(join(layout.partial(id), "app/old.py"), "");
    await unpack(makeBundle({ files }).bytes);
    expect(left()).toEqual([id]);
    expect(existsSync(join(layout.app(id), "old.py"))).toBe(false);
  });
});

describe("collected static files", () => {
  const css = { "static/static/site.css": "body {}\n" };
  const from = (path: string) => ({ static: [{ url: "/static/", from: path }] });

  test("are found where the project collected them", async () => {
    const { unpack, layout } = host();
    await unpack(makeBundle({ files: { ...css, "app/a.py": "" }, config: from("build/./assets") }).bytes);
    expect(readlinkSync(join(layout.app(id), "build/assets"))).toBe("../../static/static");
    expect(readFileSync(join(layout.app(id), "build/assets/site.css"), "utf8")).toBe("body {}\n");
  });

  test.each([
    ["the project has a folder there", { "app/assets/own.css": "" }, "assets"],
    ["a file stands in the way", { "app/assets": "" }, "assets/inner"],
    ["it is the project itself", { "app/a.py": "" }, "."],
  ])("are not linked where %s", async (_, own, path) => {
    const { unpack, layout } = host();
    await unpack(makeBundle({ files: { ...css, ...own }, config: from(path) }).bytes);
    const links = execFileSync("find", [layout.app(id), "-type", "l"], { encoding: "utf8" });
    expect(links).toBe("");
  });
});

describe("releases", () => {
  const next = "20261121T110000Z-3f2c1ac";

  test("are removed with what an interrupted unpack left, and once more without an error", async () => {
    const { unpack, releases, layout, left } = host();
    await unpack(makeBundle({ files }).bytes);
    mkdirSync(layout.partial(id));
    await releases.remove("shop", id);
    await releases.remove("shop", id);
    expect(left()).toEqual([]);
    await expect(releases.config("shop", id)).rejects.toMatchObject({ code: "release_not_found" });
  });

  test("are listed with what their manifests say, whole ones alone, and told where the links point", async () => {
    const { unpack, releases, layout } = host();
    expect([await releases.list("shop"), await releases.published("shop")]).toEqual([
      [],
      { current: null, previous: null },
    ]);
    await unpack(makeBundle({ files }).bytes);
    const { manifest, digest } = await unpack(makeBundle({ files, release: next }).bytes);
    mkdirSync(layout.partial("20261121T120000Z-3f2c1ad"));
    writeFileSync(layout.manifest(id), "{ torn");
    const { commit, repository, created } = manifest;
    expect(await releases.list("shop")).toEqual([{ id: next, digest, commit, repository, created }]);
    expect(await releases.manifest("shop", next)).toEqual(manifest);
    await releases.publish("shop", { current: next, previous: id });
    expect(await releases.published("shop")).toEqual({ current: next, previous: id });
  });

  test("are published by links that nginx follows", async () => {
    const { unpack, releases, layout } = host();
    await unpack(makeBundle({ files }).bytes);
    await unpack(makeBundle({ files, release: next }).bytes);
    await releases.sync("shop", id);
    await releases.publish("shop", { current: id });
    await releases.publish("shop", { current: next, previous: id });
    const [current, previous, canary] = (["current", "previous", "canary"] as const).map(layout.published);
    expect([readlinkSync(current ?? ""), readlinkSync(previous ?? "")]).toEqual([`releases/${next}`, `releases/${id}`]);
    expect(existsSync(join(current ?? "", "static/static/site.css"))).toBe(true);
    // A redeploy of the same release: the pages that are out there still ask for the files of the one before.
    await releases.publish("shop", { current: next });
    expect(readlinkSync(previous ?? "")).toBe(`releases/${id}`);
    await releases.publish("shop", { canary: id });
    expect(readlinkSync(canary ?? "")).toBe(`releases/${id}`);
    await releases.publish("shop", { canary: null, staged: null });
    expect(existsSync(canary ?? "")).toBe(false);
  });
});
