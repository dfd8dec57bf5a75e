import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AppsDirectory, readAgentSettings } from "../../../agent/host/apps-dir.ts";
import { scratch } from "./scratch.ts";

test("apps are the files of that form, read anew at each call", async () => {
  const dir = scratch();
  const apps = new AppsDirectory(dir);
  for (const name of ["shop.yml", "blog.yml", "Bad_Name.yml", "shop.env", "note.txt"])
    writeFileSync(join(dir, name), "");
  expect(await apps.names()).toEqual(["blog", "shop"]);
  expect(await apps.settings("shop")).toMatchObject({
    app: "shop",
    file: join(dir, "shop.yml"),
    trust: [],
    listen: [80],
    domains: [],
  });
  writeFileSync(join(dir, "shop.yml"), "user: www-data\n");
  expect(await apps.settings("shop")).toMatchObject({ user: "www-data" });
  expect(await new AppsDirectory(join(dir, "none")).names()).toEqual([]);
});

test.each(["none", "../shop", "a/b", ""])("there is no app %j", async (name) => {
  await expect(new AppsDirectory(scratch()).settings(name)).rejects.toMatchObject({ code: "app_not_found" });
});

test("a wrong settings file is told with its line", async () => {
  const dir = scratch();
  writeFileSync(join(dir, "shop.yml"), "listen: [80]\nusr: www-data\n");
  await expect(new AppsDirectory(dir).settings("shop")).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("shop.yml:2:1"),
  });
});

test("without agent.yml everything has its default", async () => {
  expect(await readAgentSettings(join(scratch(), "agent.yml"))).toMatchObject({ data: "/var/lib/cutover" });
});
