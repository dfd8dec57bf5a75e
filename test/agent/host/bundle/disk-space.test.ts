import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import type { Shortage } from "../../../../agent/contracts/ports.ts";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import { makeBundle } from "../../../fixtures/bundle.ts";
import { scratch } from "../scratch.ts";

const ids = ["20261121T100000Z-1111111", "20261121T100100Z-2222222", "20261121T100200Z-3333333"] as const;

function host(limits = { bundle: 1e9, free: 0 }) {
  const data = scratch();
  return { data, layout: appLayout(data, "shop"), releases: new ReleaseDirectories({ data, limits }) };
}

function fill(file: string, kilobytes: number): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, Buffer.alloc(kilobytes * 1024, "x"));
  return file;
}

test("room is asked about before an upload, also of an app that has no directory yet", async () => {
  const { data, releases } = host({ bundle: 1e9, free: 1000 });
  const asked: Shortage[] = [];
  const freeSpace = async (shortage: Shortage) => void asked.push(shortage);
  await releases.assertSpace("shop", 1000, freeSpace);
  expect(asked).toEqual([]);
  await expect(releases.assertSpace("shop", 1e18, freeSpace)).rejects.toMatchObject({ code: "disk_full" });
  expect(asked).toMatchObject([{ needed: 1e18 + 1000, free: expect.any(Number) }]);
  expect(readdirSync(data)).toEqual([]);
});

test("a manifest that does not fit asks for room before a file is written, with all of the release's files", async () => {
  const { layout, releases } = host({ bundle: 1e9, free: Number.MAX_SAFE_INTEGER - 1e9 });
  const { bytes } = makeBundle({ files: { "app/a.py": "first" } });
  const full = new CutoverError("disk_full", "no room at all");
  let seen: Shortage | undefined;
  const freeSpace = async (shortage: Shortage) => {
    seen = shortage;
    throw full;
  };
  const options = { accept: async () => undefined, freeSpace, signal: new AbortController().signal };
  await expect(releases.unpack("shop", Readable.from([bytes]), options)).rejects.toBe(full);
  // One block for the one file, besides the reserve.
  expect((seen?.needed ?? 0) - (Number.MAX_SAFE_INTEGER - 1e9)).toBeGreaterThan(500);
  expect(readdirSync(layout.releases)).toEqual([]);
});

test("what pruning would give: the releases' files, and environments that only they use", async () => {
  const { layout, releases } = host();
  const kilobytes = async (...removed: string[]) =>
    Math.round((await releases.freedBytes("shop", removed)) / 1024 / 100) * 100;
  for (const [index, id] of ids.entries()) {
    fill(join(layout.app(id), "data"), 400);
    const key = index < 2 ? "shared" : "own";
    fill(join(layout.venv(key), "lib"), 1000);
    symlinkSync(join("..", "..", "venvs", key), layout.releaseVenv(id));
  }
  expect(await kilobytes()).toBe(0);
  expect(await kilobytes(ids[0])).toBe(400);
  expect(await kilobytes(ids[2])).toBe(1400);
  expect(await kilobytes(ids[0], ids[1])).toBe(1800);
  expect(await kilobytes("20261121T110000Z-9999999")).toBe(0);
});

test("a file with another name elsewhere gives nothing", async () => {
  const { data, layout, releases } = host();
  linkSync(fill(join(layout.app(ids[0]), "data"), 800), join(data, "other"));
  expect(await releases.freedBytes("shop", [ids[0]])).toBeLessThan(100 * 1024);
});
