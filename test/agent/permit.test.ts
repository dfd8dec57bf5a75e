import { expect, test } from "vitest";
import { permit } from "../../agent/permit.ts";
import type { AppSettings } from "../../agent/settings.ts";
import { type Config, configSchema } from "../../shared/config.ts";

const config = (parts: object = {}): Config =>
  configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop.wsgi:application" }, ...parts });

const settings = (parts: Partial<AppSettings>): AppSettings => ({
  app: "shop",
  file: "/etc/cutover/apps/shop.yml",
  trust: [],
  listen: [80],
  domains: [],
  ...parts,
});

test("a repository gets what the host allows, unless it chooses among it", () => {
  const host = settings({ listen: [80, "[::]:80"], domains: ["example.com", "*.example.com"] });
  expect(permit(config(), host)).toEqual({
    listen: [80, "[::]:80"],
    serverNames: ["example.com", "*.example.com"],
  });
  const chosen = config({ site: { listen: [80], server_name: ["a.example.com"] } });
  expect(permit(chosen, host)).toEqual({ listen: [80], serverNames: ["a.example.com"] });
  expect(permit(config(), settings({ domains: ["*"] })).serverNames).toEqual([]);
});

test("a repository does not get what the host does not allow", () => {
  const listening = config({ site: { listen: [80, 8080] } });
  expect(() => permit(listening, settings({}))).toThrow(
    expect.objectContaining({ code: "listen_not_allowed", fix: expect.stringContaining("listen: [80, 8080]") }),
  );
  const named = config({ site: { server_name: ["evil-example.com"] } });
  expect(() => permit(named, settings({ domains: ["*.example.com"] }))).toThrow(
    expect.objectContaining({ code: "domain_not_allowed" }),
  );
});
