import { readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { zstdCompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { ReleaseDirectories } from "../../../agent/host/bundle/releases.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { encodeManifest, type Manifest, manifestFiles, manifestName, parseManifest } from "../../../shared/manifest.ts";
import { scratch } from "../../agent/host/scratch.ts";
import { makeBundle, tarOf } from "../../fixtures/bundle.ts";

/**
 * T7 (a): a manifest of 60 MiB with one character beyond Latin-1 filled half a gigabyte, since its text was decoded, parsed and
 * written again as one string of two bytes for each character. test/hostile/trust/t7-memory.test.ts has the agent do it.
 */
const megabyte = 1024 ** 2;
const sha256 = "a".repeat(64);

/** A manifest of about so many bytes. @param sign is in the first path */
function manifestOf(bytes: number, sign: string): Buffer {
  const { manifest } = makeBundle();
  const path = (index: number) => `app/${index === 0 ? sign : ""}${String(index).padStart(7, "0")}${"x".repeat(50)}`;
  const one = JSON.stringify({ path: path(1), mode: 0o644, size: 0, sha256 }).length + 1;
  const files = Array.from({ length: Math.floor(bytes / one) }, (_, index) => ({
    ...{ path: path(index), mode: 0o644 as const, size: 0, sha256 },
  }));
  // It sorts behind the others.
  if (sign > "9") files.push(...files.splice(0, 1));
  return encodeManifest({ ...manifest, files } satisfies Manifest);
}

let collect: () => void;
beforeAll(() => {
  setFlagsFromString("--expose-gc");
  collect = runInNewContext("gc") as () => void;
});

/**
 * The megabytes that the process has more at its peak. The collector has its turn before and after. On a busy machine it falls
 * behind in between, which only adds: so the least of three is what the work needs.
 */
function peakOf(work: () => unknown): number {
  return Math.min(...[1, 2, 3].map(() => onePeakOf(work)));
}

function onePeakOf(work: () => unknown): number {
  collect();
  const before = process.memoryUsage();
  let peak = 0;
  const look = () => {
    const { heapUsed, external } = process.memoryUsage();
    peak = Math.max(peak, heapUsed + external - before.heapUsed - before.external);
  };
  const kept = work();
  look();
  collect();
  look();
  expect(kept).toBeDefined();
  return peak / megabyte;
}

test.each(["", "Ж", "😀"])("T7a: a manifest of 85,000 files is read within bounded memory, with %j in it", (sign) => {
  const bytes = manifestOf(15 * megabyte, sign);
  let files = 0;
  // Most of it is the list that is returned.
  expect(peakOf(() => (files = parseManifest(bytes).files.length))).toBeLessThan(5 * 15);
  expect(files).toBeGreaterThan(85_000);
  let count = 0;
  for (const _ of manifestFiles(bytes)) count += 1;
  expect(count).toBe(files);
});

test.each([
  ["one path of many megabytes", (bytes: number) => `app/${"Ж".repeat(bytes / 2)}`, /more than 8192 bytes/],
  [
    "a name with many megabytes beside the files",
    (bytes: number) => "Ж".repeat(bytes / 2),
    /more than 1048576 bytes besides its list/,
  ],
])("T7a: %s is refused before it is parsed", (what, text, reason) => {
  const { manifest } = makeBundle();
  const long = text(40 * megabyte);
  const changed = what.startsWith("one path")
    ? { ...manifest, files: [{ path: long, mode: 0o644 as const, size: 0, sha256 }] }
    : { ...manifest, repository: long };
  const bytes = encodeManifest(changed);
  let refusal: unknown;
  const peak = peakOf(() => {
    try {
      return parseManifest(bytes);
    } catch (thrown) {
      refusal = thrown;
      return thrown;
    }
  });
  expect(refusal).toMatchObject({ code: "manifest_invalid", message: expect.stringMatching(reason) });
  expect(peak).toBeLessThan(5);
});

test("T7a: a manifest beyond the host's limit is refused before it is read, with the limit", async () => {
  const data = scratch();
  const { limits } = agentSettingsSchema.parse({});
  const releases = new ReleaseDirectories({ data, limits: { ...limits, free: 0 } });
  const signal = new AbortController().signal;
  const bytes = manifestOf(60 * megabyte, "Ж");
  const body = zstdCompressSync(tarOf([{ path: manifestName, content: bytes }]));
  expect(body.length).toBeLessThan(3 * megabyte);
  const unpacking = releases.unpack("shop", Readable.from([body]), { accept: async () => undefined, signal });
  await expect(unpacking).rejects.toMatchObject({
    code: "bundle_too_large",
    message: `The bundle's manifest.json has ${bytes.length} bytes, as the host counts them; this host takes ${limits.manifest}.`,
    fix: expect.stringContaining("limits.manifest"),
  });
  expect(readdirSync(data)).toEqual([]);
  expect(appLayout(data, "shop").home).toContain(data);
});

test("T7a: a project of 100,000 files fits within the default limit", () => {
  const { limits } = agentSettingsSchema.parse({});
  const { manifest } = makeBundle();
  const path = (index: number) => `app/packages/some_package/module_of_it/${String(index).padStart(6, "0")}_name.py`;
  const files = Array.from({ length: 100_000 }, (_, index) => ({
    ...{ path: path(index), mode: 0o644 as const, size: 123_456, sha256 },
  }));
  expect(encodeManifest({ ...manifest, files }).length).toBeLessThan(limits.manifest);
});
