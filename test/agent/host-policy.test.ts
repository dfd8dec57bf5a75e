import { expect, test } from "vitest";
import { permit } from "../../agent/host-policy.ts";
import { type AppSettings, appSettingsSchema } from "../../agent/settings.ts";
import { type Config, configSchema } from "../../shared/config.ts";

const config = (parts: object = {}): Config =>
  configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop.wsgi:application" }, ...parts });

const settings = (parts: object): AppSettings => ({
  ...appSettingsSchema.parse(parts),
  app: "shop",
  file: "/etc/cutover/apps/shop.yml",
});

const tls = { certificate: "/etc/ssl/shop.pem", key: "/etc/ssl/shop.key" };

test("a repository gets what the host allows, unless it chooses among it", () => {
  const host = settings({
    listen: [80, "[::]:80", "443 ssl"],
    domains: ["example.com", "*.example.com"],
    tls,
    acme_challenge: "/var/www/letsencrypt",
    preview: [12001],
    peers: ["10.0.0.11:8000"],
  });
  const given = { tls, acmeChallenge: "/var/www/letsencrypt" };
  expect(permit(config(), host)).toEqual({
    ...given,
    listen: [80, "[::]:80", "443 ssl"],
    serverNames: ["example.com", "*.example.com"],
  });
  const site = {
    listen: ["443 ssl", 80],
    server_name: ["a.example.com"],
    preview: { listen: 12001 },
    peers: [{ server: "10.0.0.11:8000" }],
  };
  expect(permit(config({ site }), host)).toEqual({ ...given, listen: ["443 ssl", 80], serverNames: ["a.example.com"] });
  expect(permit(config(), settings({ domains: ["*"] })).serverNames).toEqual([]);
});

const line = (text: string) => `In /etc/cutover/apps/shop.yml on the host, write: ${text}`;

test.each([
  [{ listen: [80, 8080] }, {}, "listen_not_allowed", "listen: [80, 8080]"],
  [{ listen: ["443 ssl"] }, {}, "listen_not_allowed", "listen: [80, 443 ssl]"],
  [{ listen: ["443"] }, { listen: ["443 ssl"], tls }, "listen_not_allowed", "listen: [443 ssl, 443]"],
  [{ listen: ["[::]:80"] }, {}, "listen_not_allowed", 'listen: [80, "[::]:80"]'],
  [{ preview: { listen: 12001 } }, {}, "listen_not_allowed", "preview: [12001]"],
  [{ preview: { listen: 80 } }, { preview: [12001] }, "listen_not_allowed", "preview: [12001, 80]"],
  [
    { server_name: ["evil-example.com"] },
    { domains: ["*.example.com"] },
    "domain_not_allowed",
    'domains: ["*.example.com", "evil-example.com"]',
  ],
  [{ peers: [{ server: "10.0.0.11:8000" }] }, {}, "peer_not_allowed", "peers: [10.0.0.11:8000]"],
  [
    { peers: [{ server: "[2001:db8::1]:80" }] },
    { peers: ["node:80"] },
    "peer_not_allowed",
    'peers: [node:80, "[2001:db8::1]:80"]',
  ],
  [
    { listen: ["443 ssl"] },
    { listen: ["443 ssl"] },
    "certificate_missing",
    "tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
  [
    {},
    { listen: [80, "443 ssl"] },
    "certificate_missing",
    "tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
  [
    { listen: [80], preview: { listen: "12001 ssl" } },
    { preview: ["12001 ssl"] },
    "certificate_missing",
    "tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
])("site %j on a host with %j: %s", (site, host, code, wanted) => {
  expect(() => permit(config({ site }), settings(host))).toThrow(
    expect.objectContaining({ code, fix: line(wanted), unchanged: expect.stringContaining("Nothing was unpacked") }),
  );
});

test("a server block by hand asks for no address and no certificate", () => {
  expect(() => permit(config({ site: "none" }), settings({ listen: ["443 ssl"] }))).not.toThrow();
});

test.each([
  { listen: ["443 tls"] },
  { preview: ["12001; evil"] },
  { peers: ["unix:/run/other.sock"] },
  { tls: { certificate: "shop.pem", key: "/k" } },
  { tls: { certificate: "/a$b", key: "/k" } },
  { tls: { certificate: "/a" } },
  { acme_challenge: 'a"b' },
])("a host's file with %j is refused", (parts) => {
  expect(() => settings(parts)).toThrow();
});
