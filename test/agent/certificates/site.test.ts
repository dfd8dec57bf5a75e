import { expect, test } from "vitest";
import { siteOf } from "../../../agent/certificates/site.ts";
import { appSettingsSchema } from "../../../agent/settings.ts";
import { testConfig } from "../host/scratch.ts";

const settings = (keys: object) => ({
  ...appSettingsSchema.parse({ tls: "auto", listen: [80, "443 ssl"], ...keys }),
  app: "shop",
  file: "shop.yml",
});

test("a certificate is for the site's names, and for those that are sent on to them", () => {
  const domains = ["shop.example.com", "www.example.com"];
  const redirects = { "www.example.com": "shop.example.com" };
  expect(siteOf(settings({ domains }), testConfig({ site: { redirects } }))).toEqual({
    app: "shop",
    names: ["shop.example.com", "www.example.com"],
  });
  expect(siteOf(settings({ domains }), testConfig({ site: { server_name: ["www.example.com"] } }))).toEqual({
    app: "shop",
    names: ["www.example.com"],
  });
});

test.each([
  ["before the first deploy", {}, undefined, /first deploy/],
  ["with a server block of its own", {}, testConfig({ site: "none" }), /site: none/],
  ["without an address with ssl", { listen: [80] }, testConfig(), /443 ssl/],
])("%s none is ordered, and it is said why", (_, keys, config, waits) => {
  expect(siteOf(settings({ domains: ["a.example"], ...keys }), config)).toMatchObject({
    waits: expect.stringMatching(waits),
  });
});
