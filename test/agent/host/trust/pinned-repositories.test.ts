import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PinnedRepositoriesFile } from "../../../../agent/host/trust/pinned-repositories.ts";
import { Scratch } from "../../../harness/scratch.ts";

const shop = {
  issuer: "https://token.actions.githubusercontent.com",
  repository: "acme/shop",
  repository_id: "1296269",
  owner_id: "583231",
  learnt: "2026-11-21T10:30:00.000Z",
};
const other = { ...shop, repository_id: "666" };

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch("learnt");
});
afterEach(() => scratch[Symbol.asyncDispose]());

const file = () => join(scratch.path, "learnt-repositories.json");
const open = () => new PinnedRepositoriesFile(scratch.path);

test("what is learnt is on disk, for the agent's user alone, and there after a restart", async () => {
  expect(await open().pin("shop", shop)).toEqual(shop);
  expect(statSync(file()).mode & 0o777).toBe(0o600);
  expect(await open().list("shop")).toEqual([shop]);
  expect(await open().list("blog")).toEqual([]);
});

test("the first that is learnt counts, also of two at once", async () => {
  const pinned = open();
  const kept = await Promise.all([pinned.pin("shop", shop), pinned.pin("shop", other)]);
  expect(kept).toEqual([shop, shop]);
  expect(await open().pin("shop", other)).toEqual(shop);
});

test("another name, issuer or app is learnt beside it", async () => {
  const pinned = open();
  const all = [
    shop,
    { ...shop, repository: "acme/store" },
    { ...shop, issuer: "https://ghes.example.com/_services/token" },
  ];
  for (const each of all) await pinned.pin("shop", each);
  await pinned.pin("constructor", shop);
  expect(await open().list("shop")).toEqual(all);
  expect(await open().list("constructor")).toEqual([shop]);
});

test("it goes with its app, and no other's does", async () => {
  const pinned = open();
  await pinned.pin("shop", shop);
  await pinned.pin("blog", shop);
  await pinned.forget("shop");
  await pinned.forget("shop");
  expect([await open().list("shop"), await open().list("blog")]).toEqual([[], [shop]]);
});

test.each(["", "{", '{"shop":[{"repository":"acme/shop"}]}'])(
  "a file that holds %j is not taken for nothing learnt",
  async (text) => {
    writeFileSync(file(), text);
    await expect(open().list("shop")).rejects.toMatchObject({ code: "host_settings_invalid" });
    await expect(open().pin("shop", shop)).rejects.toMatchObject({ code: "host_settings_invalid" });
    expect(readFileSync(file(), "utf8")).toBe(text);
  },
);
