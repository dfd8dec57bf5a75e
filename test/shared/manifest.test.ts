import { expect, test } from "vitest";
import { comparePaths, leftOutOver, type ManifestFile } from "../../shared/manifest.ts";

test("paths are in the order of their UTF-8 bytes, beyond the basic plane too, where UTF-16 has another", () => {
  const parts = ["", "/", "A", "a", "a/", "ab", "a.b", "é", "中", "\ue000", "\ufffd", "😀", "𐀀"];
  const paths = parts.flatMap((first) => parts.map((second) => `app/${first}${second}`));
  for (const a of paths) {
    for (const b of paths) {
      expect(Math.sign(comparePaths(a, b)), JSON.stringify([a, b])).toBe(
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      );
    }
  }
});

test("a thin bundle leaves out a file only where its base's is alike in everything", () => {
  const file: ManifestFile = { path: "app/a.py", mode: 0o644, size: 3, sha256: "a".repeat(64) };
  const leftOut = leftOutOver([file, { ...file, path: "app/b.py" }]);
  expect(leftOut({ ...file })).toBe(true);
  for (const change of [{ path: "app/c.py" }, { mode: 0o755 as const }, { size: 4 }, { sha256: "b".repeat(64) }]) {
    expect(leftOut({ ...file, ...change })).toBe(false);
  }
  expect(leftOutOver([])(file)).toBe(false);
});
