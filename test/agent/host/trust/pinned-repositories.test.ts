import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LearntRepositoriesFile } from "../../../../agent/host/trust/pinned-repositories.ts";
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
const open = () => new LearntRepositoriesFile(scratch.path);

test("what is learnt is on disk, for the agent's user alone, and there after a restart", async () => {
  expect(await open().learn("shop", shop)).toEqual(shop);
  expect(statSync(file()).mode & 0o777).toBe(0o600);
  expect(await open().list("shop")).toEqual([shop]);
  expect(await open().list("blog")).toEqual([]);
});

test("the first that is learnt counts, also of two at once", async () => {
  const learnt = open();
  const kept = await Promise.all([learnt.learn("shop", shop), learnt.learn("shop", other)]);
  expect(kept).toEqual([shop, shop]);
  expect(await open().learn("shop", other)).toEqual(shop);
});

test("another name, issuer or app is learnt beside it", async () => {
  const learnt = open();
  const all = [
    shop,
    { ...shop, repository: "acme/store" },
    { ...shop, issuer: "https://ghes.example.com/_services/token" },
  ];
  for (const each of all) await learnt.learn("shop", each);
  await learnt.learn("constructor", shop);
  expect(await open().list("shop")).toEqual(all);
  expect(await open().list("constructor")).toEqual([shop]);
});

test("it goes with its app, and no other's does", async () => {
  const learnt = open();
  await learnt.learn("shop", shop);
  await learnt.learn("blog", shop);
  await learnt.forget("shop");
  await learnt.forget("shop");
  expect([await open().list("shop"), await open().list("blog")]).toEqual([[], [shop]]);
});

test.each(["", "{", '{"shop":[{"repository":"acme/shop"}]}'])(
  "a file that holds %j is not taken for nothing learnt",
  async (text) => {
    writeFileSync(file(), text);
    await expect(open().list("shop")).rejects.toMatchObject({ code: "host_settings_invalid" });
    await expect(open().learn("shop", shop)).rejects.toMatchObject({ code: "host_settings_invalid" });
    expect(readFileSync(file(), "utf8")).toBe(text);
  },
);
