import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encodeManifest,
  type Manifest,
  type ManifestFile,
  manifestDigest,
  manifestLimits,
} from "../../../shared/manifest.ts";
import { applyManifestDelta, makeManifestDelta, manifestDeltaName } from "../../../shared/manifest-delta.ts";
import { host, mismatch } from "../../agent/host/bundle/unpacking-host.ts";
import { type BundleInput, makeBundle, type TarEntry } from "../../fixtures/bundle.ts";

/** A manifest that came as a difference: it gives what the token signed, or nothing is kept. */

const first = "20261121T103000Z-3f2c1ab";
const second = "20261121T110000Z-3f2c1ac";
const before = { "app/a.py": "a = 1\n", "app/b.py": "b = 1\n", "app/gone.py": "", "app/z.py": "z = 1\n" };
const after = { "app/a.py": "a = 1\n", "app/b.py": "b = 2\n", "app/new.py": "n = 1\n", "app/z.py": "z = 1\n" };
const base = makeBundle({ files: before, release: first });
const whole = makeBundle({ files: after, release: second });
const baseOf = ({ manifest, digest }: { manifest: Manifest; digest: string }) => ({ digest, files: manifest.files });

function deltaOf(manifest: Manifest, over = baseOf(base)): Buffer {
  const delta = makeManifestDelta(manifest, over);
  if (delta === undefined) throw new Error("no delta");
  return delta;
}

/** The second release, thin over the first, with the delta in the place of its manifest. */
function thin(delta: Buffer, input: BundleInput = {}) {
  return makeBundle({
    ...{ files: after, release: second, base: base.manifest },
    changeEntries: ([, ...files]: TarEntry[]) => [{ path: manifestDeltaName, content: delta }, ...files],
    ...input,
  });
}

async function hostWithBase() {
  const all = host();
  await all.unpack(base.bytes);
  const signed = (bytes: Buffer, digest = whole.digest) =>
    all.unpack(bytes, { base: first, accept: async (_, found) => mismatch(found !== digest) });
  return { ...all, signed };
}

test("a delta gives the whole manifest, byte for byte, and the release is what a whole bundle makes", async () => {
  const { signed, layout } = await hostWithBase();
  const delta = deltaOf(whole.manifest);
  expect(applyManifestDelta(delta, baseOf(base))).toEqual(encodeManifest(whole.manifest));
  await signed(thin(delta).bytes);
  expect(readFileSync(layout.manifest(second))).toEqual(encodeManifest(whole.manifest));
  for (const [path, text] of Object.entries(after)) {
    expect(readFileSync(join(layout.release(second), path), "utf8")).toBe(text);
  }
});

test("one changed file of thousands needs a few hundred bytes, also with the first digits of the base's digests", () => {
  const files = Array.from({ length: 2947 }, (_, index): ManifestFile => {
    const name = String(index).padStart(5, "0");
    return { path: `app/${name}.py`, mode: 0o644, size: index, sha256: manifestDigest(Buffer.from(name)).slice(7) };
  });
  const manifest = { ...whole.manifest, files };
  const old = files.map((file, index) => ({ ...file, sha256: index === 1000 ? "0".repeat(64) : file.sha256 }));
  const short = old.map((file) => ({ ...file, sha256: file.sha256.slice(0, 32) }));
  const delta = deltaOf(manifest, { digest: base.digest, files: short });
  expect(delta.length).toBeLessThan(2000);
  expect(applyManifestDelta(delta, { digest: base.digest, files: old })).toEqual(encodeManifest(manifest));
});

type Change = (delta: Record<string, unknown>) => unknown;
const huge = Array.from({ length: 100_000 }, () => [0, 4]);
const hostile: [what: string, change: Change][] = [
  ["of another base", (delta) => ({ ...delta, base: `sha256:${"0".repeat(64)}` })],
  ["that says another digest", (delta) => ({ ...delta, digest: base.digest })],
  ["with a file that the base does not have", (delta) => ({ ...delta, files: [[3, 2]] })],
  ["with a negative index", (delta) => ({ ...delta, files: [[-1, 1]] })],
  ["with no file in a run", (delta) => ({ ...delta, files: [[0, 0]] })],
  ["with half a file", (delta) => ({ ...delta, files: [[0.5, 1]] })],
  ["with numbers beyond all", (delta) => ({ ...delta, files: [[Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]] })],
  ["that names the base's files 400,000 times", (delta) => ({ ...delta, files: huge })],
  ["with a key more", (delta) => ({ ...delta, more: 1 })],
  ["without a head", ({ head: _, ...delta }) => delta],
  ["of a later format", (delta) => ({ ...delta, format: 2 })],
  ["with a file that is text", (delta) => ({ ...delta, files: ["app/a.py"] })],
  ["with a file that has more", (delta) => ({ ...delta, files: [{ ...base.manifest.files[0], uid: 0 }] })],
  ["with nothing for a file", (delta) => ({ ...delta, files: [null] })],
  ["that is a list", (delta) => [delta]],
  ["that is deep", (delta) => ({ ...delta, files: [[[[[[[[0]]]]]]]] })],
];

describe("a delta is refused, and nothing is kept:", () => {
  test.each(hostile)("%s", async (_what, change) => {
    const { signed, left } = await hostWithBase();
    const changed = change(JSON.parse(deltaOf(whole.manifest).toString()));
    const { bytes } = thin(Buffer.from(`${JSON.stringify(changed)}\n`));
    await expect(signed(bytes)).rejects.toMatchObject({
      code: "base_unusable",
      unchanged: expect.stringMatching(/^Nothing/),
    });
    expect(left()).toEqual([first]);
  });

  const raw: [what: string, delta: Buffer][] = [
    ["that is empty", Buffer.alloc(0)],
    ["that is no JSON", Buffer.from("{")],
    ["that is no UTF-8", Buffer.from([0xff, 0xfe, 0x0a])],
    ["with spaces", Buffer.from(`${JSON.stringify(JSON.parse(deltaOf(whole.manifest).toString()), null, 1)}\n`)],
    [
      "with a key twice",
      Buffer.from(deltaOf(whole.manifest).toString().replace('{"format":1,', '{"format":1,"format":1,')),
    ],
  ];
  test.each(raw)("%s", async (_what, delta) => {
    const { signed, left } = await hostWithBase();
    await expect(signed(thin(delta).bytes)).rejects.toMatchObject({ code: "base_unusable" });
    expect(left()).toEqual([first]);
  });

  test("that gives another manifest than the one that was signed", async () => {
    const { signed, left } = await hostWithBase();
    const other = makeBundle({ files: after, release: second, commit: "f".repeat(40) });
    await expect(signed(thin(deltaOf(other.manifest)).bytes)).rejects.toMatchObject({ code: "manifest_mismatch" });
    expect(left()).toEqual([first]);
  });

  test("that gives a manifest which does not obey the format, though its digest is the signed one", async () => {
    const { signed, left } = await hostWithBase();
    const evil = { ...whole.manifest, files: [{ ...base.manifest.files[0]!, path: "app/../../evil" }] };
    const digest = manifestDigest(encodeManifest(evil));
    await expect(signed(thin(deltaOf(evil)).bytes, digest)).rejects.toMatchObject({ code: "manifest_invalid" });
    expect(left()).toEqual([first]);
  });

  test("without a base, twice, after the manifest, as a link, with a mode, cut off, or with something behind it", async () => {
    const { signed, unpack, left } = await hostWithBase();
    const delta = { path: manifestDeltaName, content: deltaOf(whole.manifest) };
    const changed = (changeEntries: (files: TarEntry[]) => TarEntry[]) =>
      thin(delta.content, { changeEntries: ([, ...files]) => changeEntries(files) }).bytes;
    const code = (bytes: Promise<unknown>) =>
      bytes.then(
        () => "taken",
        (thrown) => thrown.code,
      );
    expect(await code(unpack(thin(delta.content).bytes))).toBe("bundle_unexpected_entry");
    expect(await code(signed(changed((files) => [delta, delta, ...files])))).toBe("bundle_unexpected_entry");
    expect(await code(signed(changed((files) => [{ ...delta, type: "SymbolicLink", linkpath: "x" }, ...files])))).toBe(
      "bundle_unexpected_entry",
    );
    expect(await code(signed(changed((files) => [{ ...delta, mode: 0o755 }, ...files])))).toBe(
      "bundle_unexpected_entry",
    );
    const manifest = { path: "manifest.json", content: encodeManifest(whole.manifest) };
    expect(await code(signed(changed((files) => [manifest, delta, ...files])))).toBe("bundle_unexpected_entry");
    const { tar } = thin(delta.content);
    const { zstdCompressSync } = await import("node:zlib");
    expect(await code(signed(zstdCompressSync(tar.subarray(0, 700))))).toBe("bundle_truncated");
    const padded = Buffer.from(tar);
    padded[512 + delta.content.length] = 1;
    expect(await code(signed(zstdCompressSync(padded)))).toBe("bundle_altered");
    expect(left()).toEqual([first]);
  });
});

test("a delta of a few bytes cannot make more than a manifest may have", () => {
  const path = `app/${"x".repeat(240)}`;
  const files = Array.from(
    { length: 1000 },
    (): ManifestFile => ({ path, mode: 0o644, size: 0, sha256: "0".repeat(64) }),
  );
  const delta = {
    format: 1,
    base: base.digest,
    digest: base.digest,
    head: "{",
    files: Array.from({ length: 199_000 }, () => [0, 1000]),
  };
  const began = process.memoryUsage().rss;
  expect(() => applyManifestDelta(Buffer.from(`${JSON.stringify(delta)}\n`), { digest: base.digest, files })).toThrow(
    "it gives too much",
  );
  expect(process.memoryUsage().rss - began).toBeLessThan(8 * manifestLimits.bytes);
});

test("200,000 wrong entries are not all told", () => {
  const files = Array.from({ length: 200_000 }, (_, index) => (index === 0 ? [0, 1] : [0]));
  const delta = { format: 1, base: base.digest, digest: base.digest, head: "{", files };
  const began = performance.now();
  const bytes = Buffer.from(`${JSON.stringify(delta)}\n`);
  expect(() => applyManifestDelta(bytes, baseOf(base))).toThrow("it has no such file");
  expect(performance.now() - began).toBeLessThan(10_000);
});

test("a delta that is too long is neither made nor read", async () => {
  const files = Array.from({ length: 80_000 }, (_, index): ManifestFile => {
    return { path: `app/${String(index).padStart(6, "0")}`, mode: 0o644, size: 0, sha256: "0".repeat(64) };
  });
  expect(makeManifestDelta({ ...whole.manifest, files }, baseOf(base)) === undefined).toBe(true);
  const { signed, left } = await hostWithBase();
  const { bytes } = thin(Buffer.from(`"${"x".repeat(9_000_000)}"\n`));
  await expect(signed(bytes)).rejects.toMatchObject({ code: "base_unusable" });
  expect(left()).toEqual([first]);
});

test("whatever changed between two releases, the delta gives the second one", () => {
  const name = fc.constantFrom("app/a", "app/b", "app/c", "app/d", "app/e", "app/f", "static/g");
  const file = fc.record({
    path: name,
    mode: fc.constantFrom<0o644 | 0o755>(0o644, 0o755),
    size: fc.nat(3),
    sha256: fc.constantFrom("a".repeat(64), "b".repeat(64), `${"a".repeat(32)}${"c".repeat(32)}`),
  });
  const files = fc.uniqueArray(file, { selector: ({ path }) => path });
  fc.assert(
    fc.property(files, files, (old, now) => {
      const manifest = { ...whole.manifest, files: now };
      const delta = deltaOf(manifest, { digest: base.digest, files: old });
      expect(applyManifestDelta(delta, { digest: base.digest, files: old })).toEqual(encodeManifest(manifest));
    }),
    { numRuns: 500 },
  );
});

test("a delta with any byte changed gives what was signed, or is refused", () => {
  const delta = deltaOf(whole.manifest);
  const wanted = encodeManifest(whole.manifest);
  fc.assert(
    fc.property(fc.nat(delta.length - 1), fc.nat(255), (at, byte) => {
      const changed = Buffer.from(delta);
      changed[at] = byte;
      try {
        const given = applyManifestDelta(changed, baseOf(base));
        // Whoever changes its own digest with it only meets the token's.
        if (manifestDigest(given) === whole.digest) expect(given).toEqual(wanted);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 1000 },
  );
});
