import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import type { Instance } from "../../../../agent/contracts/privileged.ts";
import { embeddedLayout } from "../../../../agent/host/embedded/files.ts";
import { domainsIn, domainsOf } from "../../../../agent/host/nginx/domains.ts";
import { configSchema } from "../../../../shared/config.ts";
import { freePort, testConfig } from "../scratch.ts";
import { ask, backend, type SiteHost, saying, siteHost } from "./site-host.ts";

const configOf = (app: string, site: unknown) => configSchema.parse({ ...testConfig({}), app, site });

const listenOn = (host: SiteHost) => ({ listen: [`127.0.0.1:${host.port}`] });

/** A host with a site of `shop`, and with the settings of an app `blog` that may have the same. */
async function hostOfTwo(shop: object = {}, blog: object = {}) {
  const host = await siteHost();
  const keys = { listen: [`127.0.0.1:${host.port}`], domains: ["*"] };
  host.allow({ ...keys, ...shop });
  writeFileSync(join(embeddedLayout(host.dir).apps, "blog.yml"), stringify({ ...keys, ...blog }));
  return host;
}

const route = (host: SiteHost, app: string, site: unknown, instance: Instance, keepNames = false) =>
  host.traffic.route(app, {
    main: { config: configOf(app, site), shares: [{ run: "r", instances: [instance], slots: 60 }] },
    preview: null,
    keepNames,
  });

test("C17: an app cannot have a domain that another app has at the same address", async () => {
  const host = await hostOfTwo();
  const shop = { server_name: ["shop.example.com", "*.example.org"] };
  await route(host, "shop", shop, await backend(saying("shop")));
  const check = (site: unknown, app = "blog") => host.privileged.checkSite(app, configOf(app, site));
  for (const name of ["shop.example.com", "*.example.org"]) {
    await expect(check({ server_name: ["blog.example.com", name] })).rejects.toMatchObject({
      code: "domain_taken",
      message: `blog asks for the domain ${name} on 127.0.0.1:${host.port}, which the app shop has already (${host.settings.nginx.conf_dir}/cutover-shop.conf).`,
      unchanged: expect.stringContaining("Nothing was unpacked"),
      fix: expect.stringContaining("blog.yml on the host"),
    });
  }
  await check({ server_name: ["blog.example.com", "www.example.org"] });
  await check("none");
  // The default server answers to all other names.
  await check({});
  await check({ ...shop, upgrade: true }, "shop");
});

test("C17: nor can it be the default server of an address that has one, as a preview's address has", async () => {
  const [preview, other] = [await freePort(), await freePort()];
  const listen = [`127.0.0.1:${other}`, preview];
  const host = await hostOfTwo({ preview: [preview] }, { listen, domains: [] });
  const config = configOf("shop", { preview: { listen: preview } });
  const shares = [{ run: "r", instances: [await backend(saying("shop"))], slots: 60 }];
  await host.traffic.route("shop", { main: { config, shares }, preview: { config, shares } });
  await expect(host.privileged.checkSite("blog", configOf("blog", {}))).rejects.toMatchObject({
    code: "domain_taken",
    message: expect.stringContaining(`the place of the default server on *:${preview}, which the app shop has already`),
  });
  await host.privileged.checkSite("blog", configOf("blog", { listen: [`127.0.0.1:${other}`] }));
});

test("C17: of two first deploys at once the second is refused, and visitors still get the first", async () => {
  const host = await hostOfTwo();
  const site = { server_name: ["shop.example.com"] };
  const apps = ["shop", "blog"];
  for (const app of apps) await host.privileged.checkSite(app, configOf(app, site));
  const instances = await Promise.all(apps.map((app) => backend(saying(app))));
  await host.privileged.prepareApp("blog");
  const ends = await Promise.allSettled(apps.map((app, n) => route(host, app, site, instances[n] as Instance)));
  const [first] = apps.filter((_, n) => ends[n]?.status === "fulfilled");
  expect(ends.filter(({ status }) => status === "rejected")).toMatchObject([{ reason: { code: "domain_taken" } }]);
  expect((await ask(host.port, "/", { headers: { host: "shop.example.com" } })).text).toBe(first);
  expect(readdirSync(host.settings.nginx.conf_dir).toSorted()).toEqual([
    `cutover-${first}.conf`,
    `cutover-${first}.upstream.conf`,
  ]);
});

test("a name that the host's files give to two apps goes to one of them, and the other site keeps the name that it has", async () => {
  const domains = (app: string) => ({ domains: [`${app}.example.com`] });
  const host = await hostOfTwo(domains("shop"), domains("blog"));
  const apps = ["shop", "blog"];
  const instances = await Promise.all(apps.map((app) => backend(saying(app))));
  await host.privileged.prepareApp("blog");
  const routeBoth = () => Promise.all(apps.map((app, n) => route(host, app, {}, instances[n] as Instance, true)));
  await routeBoth();
  const listen = [`127.0.0.1:${host.port}`];
  host.allow({ listen, domains: ["both.example.com"] });
  const blog = join(embeddedLayout(host.dir).apps, "blog.yml");
  writeFileSync(blog, stringify({ listen, domains: ["both.example.com"] }));
  // As a start of the agent does it for all apps at once.
  await routeBoth();
  const answer = async (name: string) => (await ask(host.port, "/", { headers: { host: name } })).text;
  const first = await answer("both.example.com");
  const other = apps.find((app) => app !== first);
  expect([await answer(`${other}.example.com`), apps.includes(first)]).toEqual([other, true]);
  expect((await routeBoth()).map(({ reloaded }) => reloaded)).toEqual([false, false]);
});

test("of two releases at once that ask for one name the second is refused, also if its app has a site already", async () => {
  const host = await hostOfTwo({ domains: ["shop.example.com", "new.example.com"] }, { domains: ["*"] });
  const apps = ["shop", "blog"];
  const instances = await Promise.all(apps.map((app) => backend(saying(app))));
  await host.privileged.prepareApp("blog");
  const name = (app: string) => ({ server_name: [`${app}.example.com`] });
  for (const [n, app] of apps.entries()) await route(host, app, name(app), instances[n] as Instance);
  const site = { server_name: ["new.example.com"] };
  for (const app of apps) await host.privileged.checkSite(app, configOf(app, site));
  const ends = await Promise.allSettled(apps.map((app, n) => route(host, app, site, instances[n] as Instance)));
  const other = apps.find((_, n) => ends[n]?.status === "rejected");
  expect(ends.filter(({ status }) => status === "rejected")).toMatchObject([
    { reason: { code: "domain_taken", unchanged: "Visitors of both apps go where they went." } },
  ]);
  expect((await ask(host.port, "/", { headers: { host: `${other}.example.com` } })).text).toBe(other);
});

test.each([
  ["the host's file forbids", (host: SiteHost) => host.allow({ ...listenOn(host), domains: ["shop.example.com"] })],
  [
    "another app has",
    async (host: SiteHost) =>
      void (await route(host, "blog", { server_name: ["old.example.com"] }, await backend(saying("blog")))),
  ],
])("a way back to a release whose name %s by now keeps the site's present name", async (_, lose) => {
  const host = await hostOfTwo();
  await host.privileged.prepareApp("blog");
  const [old, now] = [await backend(saying("old")), await backend(saying("now"))];
  const wanted = { server_name: ["old.example.com"], redirects: { "www.example.com": "old.example.com" } };
  await route(host, "shop", wanted, old);
  await route(host, "shop", { server_name: ["shop.example.com"] }, now);
  await lose(host);
  await expect(route(host, "shop", wanted, old)).rejects.toMatchObject({ code: /^domain_/ });
  await route(host, "shop", wanted, old, true);
  expect((await ask(host.port, "/", { headers: { host: "shop.example.com" } })).text).toBe("old");
});

test.each<[string, (own: string, other: string) => object, object?]>([
  ["address", (own, other) => ({ listen: [own, other] })],
  ["preview", (_, other) => ({ preview: { listen: other } })],
  ["peer", (_, other) => ({ peers: [{ server: other, weight: 1 }] })],
  [
    "address and name",
    (own, other) => ({ listen: [own, other], server_name: ["old.example.com"] }),
    { domains: ["shop.example.com"] },
  ],
])("n48: a way back to a release whose %s the host forbids by now does without it", async (_, site, forbids = {}) => {
  const host = await hostOfTwo();
  const other = await freePort();
  const [listen, addresses] = [[`127.0.0.1:${host.port}`], [`127.0.0.1:${other}`]];
  host.allow({ listen: [...listen, ...addresses], preview: addresses, peers: addresses, domains: ["*"] });
  const [old, now] = [await backend(saying("old")), await backend(saying("now"))];
  const wanted = site(listen[0] as string, addresses[0] as string);
  await route(host, "shop", wanted, old);
  await route(host, "shop", { listen, server_name: ["shop.example.com"] }, now);
  host.allow({ listen, domains: ["*"], ...forbids });
  await expect(route(host, "shop", wanted, old)).rejects.toMatchObject({ code: /_not_allowed$/ });
  await route(host, "shop", wanted, old, true);
  expect((await ask(host.port, "/", { headers: { host: "shop.example.com" } })).text).toBe("old");
  await expect(ask(other, "/")).rejects.toThrow("ECONNREFUSED");
});

test("what is written and what is wanted are compared by one notation", () => {
  expect(
    domainsOf({ listen: [80, "0.0.0.0:80", "443 ssl", "localhost:80", "[::0001]:80"], serverNames: ["a"] }).map(
      ({ address }) => address,
    ),
  ).toEqual(["*:80", "*:80", "*:443", "127.0.0.1:80", "[::1]:80"]);
  expect(domainsIn("server {\n    listen 80 default_server;\n    listen [::1]:81;\n    server_name _;\n}\n")).toEqual([
    { address: "*:80", name: "_" },
    { address: "[::1]:81", name: "_" },
  ]);
});
