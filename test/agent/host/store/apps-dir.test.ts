import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AppsDirectory, readAgentSettings } from "../../../../agent/host/store/apps-dir.ts";
import { scratch } from "../scratch.ts";

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

test.each([
  ["listen: 0.0.0.0:7070\n", "plain HTTP goes only to this host itself"],
  ['listen: "[::]:7070"\n', "plain HTTP goes only to this host itself"],
  ["listen: web1.example.com:7070\n", "plain HTTP goes only to this host itself"],
  ["allow: [10.0.0.0/33]\n", "an IPv4 or IPv6 address, or a network"],
  ["allow: [example.com]\n", "an IPv4 or IPv6 address, or a network"],
  ["tls: { certificate: ../web.pem, key: /etc/web.key }\n", "a systemd credential"],
])("agent.yml with %j is refused", async (text, reason) => {
  const file = join(scratch(), "agent.yml");
  writeFileSync(file, text);
  await expect(readAgentSettings(file)).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining(reason),
  });
});

test.each([
  "listen: 127.0.0.1:7070\n",
  'listen: "[::1]:7070"\n',
  "listen: localhost:7070\n",
  "listen: 0.0.0.0:7070\ninsecure: true\n",
  "listen: 0.0.0.0:7070\ntls: { certificate: web.pem, key: web.key }\n",
  'allow: ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]\n',
])("agent.yml with %j is taken", async (text) => {
  const file = join(scratch(), "agent.yml");
  writeFileSync(file, text);
  await readAgentSettings(file);
});
