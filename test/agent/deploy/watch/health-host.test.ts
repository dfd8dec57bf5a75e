import { expect, test } from "vitest";
import { healthHost } from "../../../../agent/deploy/watch/run-health.ts";
import { appSettingsSchema } from "../../../../agent/settings.ts";
import { configSchema } from "../../../../shared/config.ts";

const server = { kind: "gunicorn", app: "shop.wsgi:application" };
const rows: [config: object, domains: string[], host: string][] = [
  [{ site: { server_name: ["*.example.com"] } }, ["*.example.com"], "health.example.com"],
  [{}, ["*.example.com"], "health.example.com"],
  [{}, ["*.example.com", "example.com"], "example.com"],
  [{ health: { host: "www.example.com" } }, ["*.example.com"], "www.example.com"],
  [{}, ["*"], "localhost"],
  [{}, [], "localhost"],
];

test.each(rows)("%j with the domains %j: the check asks %s", (config, domains, host) => {
  const parsed = appSettingsSchema.parse({ user: "shop", domains });
  const settings = { ...parsed, app: "shop", file: "/etc/cutover/apps/shop.yml" };
  expect(healthHost(configSchema.parse({ app: "shop", server, ...config }), settings)).toBe(host);
});
