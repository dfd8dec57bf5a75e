import { expect, test } from "vitest";
import { allowedPorts, permittedPorts, permittedSite } from "../../agent/host-policy.ts";
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
  expect(permittedSite(config(), host)).toEqual({
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
  expect(permittedSite(config({ site }), host)).toEqual({
    ...given,
    listen: ["443 ssl", 80],
    serverNames: ["a.example.com"],
  });
  expect(permittedSite(config(), settings({ domains: ["*"] })).serverNames).toEqual([]);
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
    "tls: auto; or name the files of another client: tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
  [
    {},
    { listen: [80, "443 ssl"] },
    "certificate_missing",
    "tls: auto; or name the files of another client: tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
  [
    { listen: [80], preview: { listen: "12001 ssl" } },
    { preview: ["12001 ssl"] },
    "certificate_missing",
    "tls: auto; or name the files of another client: tls: { certificate: /etc/letsencrypt/live/NAME/fullchain.pem, key: /etc/letsencrypt/live/NAME/privkey.pem }",
  ],
])("site %j on a host with %j: %s", (site, host, code, wanted) => {
  expect(() => permittedSite(config({ site }), settings(host))).toThrow(
    expect.objectContaining({ code, fix: line(wanted), unchanged: expect.stringContaining("Nothing was unpacked") }),
  );
});

test("a server block by hand asks for no address and no certificate", () => {
  expect(() => permittedSite(config({ site: "none" }), settings({ listen: ["443 ssl"] }))).not.toThrow();
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

const onPorts = (instances: number, bind = "port"): Config =>
  configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app", bind, instances } });
const withPorts = (ports?: AppSettings["ports"]): AppSettings => settings({ ports });

test("the ports of one range, or of several, each once", () => {
  expect(allowedPorts(withPorts("9000-9002"))).toEqual([9000, 9001, 9002]);
  expect(allowedPorts(withPorts(["9000-9001", "9001-9001", "8000-8000"]))).toEqual([9000, 9001, 8000]);
  expect(allowedPorts(withPorts())).toEqual([]);
});

test.each(["80-90", "9000", "9001-9000", "9000-70000", "a-b"])("%j is no range", (ports) => {
  expect(appSettingsSchema.safeParse({ ports }).success).toBe(false);
});

test("instances on ports need three times as many: live, new, and one that is staged or warm", () => {
  expect(() => permittedPorts(onPorts(2), withPorts("9000-9005"))).not.toThrow();
  expect(() => permittedPorts(onPorts(2, "socket"), withPorts())).not.toThrow();
  expect(() => permittedPorts(onPorts(2), withPorts())).toThrow(
    expect.objectContaining({
      code: "ports_not_allowed",
      message: expect.stringContaining("needs 6 ports on the host for 2 instances, and it allows none"),
      fix: expect.stringContaining('In /etc/cutover/apps/shop.yml on the host, write: ports: "9000-9099"'),
    }),
  );
  expect(() => permittedPorts(onPorts(40), withPorts("9000-9099"))).toThrow(
    expect.objectContaining({
      code: "ports_not_allowed",
      message: expect.stringContaining("needs 120 ports on the host for 40 instances, and it allows 100"),
      fix: expect.stringContaining('ports: "9000-9119"'),
    }),
  );
});
