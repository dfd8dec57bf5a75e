import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UsedTokensFile, type UsedTokensOptions } from "../../../../agent/host/trust/used-tokens.ts";

const day = 24 * 60 * 60_000;
const begun = 1_800_000_000_000;
let directory: string;
let file: string;
let now: number;
const open: UsedTokensFile[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cutover-pools-"));
  file = join(directory, "spent-tokens");
  now = begun;
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(directory, { recursive: true });
});

async function openFile(limits: UsedTokensOptions["limits"] = {}): Promise<UsedTokensFile> {
  const tokens = await UsedTokensFile.open(file, { now: () => now, limits });
  open.push(tokens);
  return tokens;
}

const soon = () => now + 600_000;
const full = { code: "internal" };

async function fill(tokens: UsedTokensFile, pool: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) expect(await tokens.spend(`${pool}/${n}/${now}`, soon(), pool)).toBe("recorded");
}

test("T7c: a signer who has used up its room refuses itself alone", async () => {
  const tokens = await openFile({ pool: 5, total: 8, reserved: 2 });
  await fill(tokens, "shop/reader", 5);
  await expect(tokens.spend("one more", soon(), "shop/reader")).rejects.toMatchObject(full);
  await fill(tokens, "shop/deployer", 3);
  // All of the common room is used now; each signer has still its own.
  await expect(tokens.spend("one more", soon(), "shop/deployer")).rejects.toMatchObject(full);
  for (const pool of ["other/reader", "other/deployer"]) {
    await fill(tokens, pool, 2);
    await expect(tokens.spend("one more", soon(), pool)).rejects.toMatchObject(full);
  }
});

test("T7c: the same after a restart", async () => {
  await fill(await openFile(), "shop/reader", 5);
  await fill(await openFile(), "other/reader", 2);
  const again = await openFile({ pool: 5, total: 6, reserved: 3 });
  await expect(again.spend("one more", soon(), "shop/reader")).rejects.toMatchObject(full);
  expect(await again.spend("another", soon(), "other/reader")).toBe("recorded");
});

test("T7c: who has the most gives up first what has expired, and may not use it again with the clock set back", async () => {
  const tokens = await openFile({ pool: 100, total: 6, reserved: 1 });
  expect(await tokens.spend("old", now + 1000, "shop/reader")).toBe("recorded");
  await fill(tokens, "shop/reader", 3);
  expect(await tokens.spend("also old", now + 1000, "other/reader")).toBe("recorded");
  now += 5000;
  await fill(tokens, "other/reader", 1);
  expect(await tokens.spend("needs room", soon(), "other/reader")).toBe("recorded");
  now = begun;
  expect(await tokens.spend("old", now + 1000, "shop/reader")).toBe("clock_behind");
  // Of the other nothing had to be forgotten, and its new tokens are good.
  expect(await tokens.spend("also old", now + 1000, "other/reader")).toBe("spent");
  expect(await tokens.spend("short", now + 900, "third/reader")).toBe("recorded");
});

test("what was forgotten stays so across a restart, for its pool, and later for all", async () => {
  const tokens = await openFile({ pool: 1, total: 10, reserved: 1 });
  expect(await tokens.spend("old", now + 1000, "shop/reader")).toBe("recorded");
  now += 5000;
  expect(await tokens.spend("new", now + 1000, "shop/reader")).toBe("recorded");
  const again = await openFile();
  // The file had the old one's line still, so it is known again; it is gone from the next file.
  now = begun;
  expect(await again.spend("old", now + 1000, "shop/reader")).not.toBe("recorded");
  now += 2 * day;
  const later = await openFile();
  expect(readFileSync(file, "utf8")).toMatch(/^forgotten \d+\n$/);
  now = begun;
  for (const pool of ["shop/reader", "other/reader"]) {
    expect(await later.spend("old", now + 1000, pool)).toBe("clock_behind");
  }
});

test("a token counts once, whichever pool it is said to be of", async () => {
  const tokens = await openFile();
  expect(await tokens.spend("a", soon(), "shop/reader")).toBe("recorded");
  expect(await tokens.spend("a", soon(), "other/reader")).toBe("spent");
});

test("an agent that knows no pools reads the same tokens, and this one reads its file", async () => {
  const tokens = await openFile();
  await fill(tokens, "shop/reader", 2);
  await fill(tokens, "other/reader", 2);
  const text = readFileSync(file, "utf8");
  const ids = text.split("\n").filter((line) => /^\d{1,16} [A-Za-z0-9_-]{43}$/.test(line));
  expect(ids).toHaveLength(4);
  writeFileSync(file, `forgotten ${begun - 1000}\n${ids.join("\n")}\n`);
  const again = await openFile();
  expect(await again.spend(`shop/reader/0/${begun}`, soon(), "shop/reader")).toBe("spent");
  expect(await again.spend("from before", begun - 1000, "shop/reader")).toBe("clock_behind");
  await fill(again, "new", 1);
  const third = await openFile();
  for (const id of [`shop/reader/1/${begun}`, `other/reader/1/${begun}`, `new/0/${begun}`]) {
    expect(await third.spend(id, soon(), "any")).toBe("spent");
  }
});

test("a file with tokens that cannot be read is not taken for an empty one", async () => {
  await (await openFile()).spend("a", soon(), "shop/reader");
  rmSync(file);
  mkdirSync(file);
  await expect(openFile()).rejects.toMatchObject({ code: "internal" });
});
