import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { assertHostPolicy } from "../../../../agent/host-policy.ts";
import { appSettingsSchema } from "../../../../agent/settings.ts";
import { makeCertificate } from "../../../harness/certificate.ts";
import { freePort, scratch, testConfig } from "../scratch.ts";
import { ask, backend, nobody, type SiteHost, saying, seen, siteHost } from "./site-host.ts";

/** Peers reach each other from this address, and visitors come from others of this machine. */
const fromPeers = { trusted_proxies: ["127.0.0.1"] };

/** How many requests the nginx of each host has had. */
const passes = (hosts: SiteHost[]) =>
  hosts.map((host) => readFileSync(host.log("cutover-shop.access.log"), "utf8").split("\n").length - 1);

test("H9 three hosts that pass to each other: each visitor is answered by the first or the second nginx", async () => {
  const hosts = await Promise.all([1, 2, 3].map(() => siteHost({ agent: () => fromPeers })));
  const server = ({ port }: SiteHost) => ({ server: `127.0.0.1:${port}` });
  const { certificateFile: certificate, keyFile: key } = await makeCertificate(scratch(), "shop");
  const secure = await Promise.all(hosts.map(() => freePort()));
  for (const [index, host] of hosts.entries()) {
    const listen = [`127.0.0.1:${host.port}`, `127.0.0.1:${secure[index]} ssl`];
    // Each passes to the two others, as the three owners' files say.
    host.allow({ listen, tls: { certificate, key }, pass_to: hosts.filter((other) => other !== host).map(server) });
    await host.serve({}, [await backend(saying(`host ${index + 1}`))]);
  }
  const counts = new Map<string, number>();
  for (let count = 0; count < 60; count++) {
    const answer = await ask(secure[count % 3] ?? 0, "/", { secure: true, from: "127.4.5.6" });
    expect(seen(answer)).toMatchObject({ "x-forwarded-for": "127.4.5.6", "x-forwarded-proto": "https" });
    counts.set(answer.text, (counts.get(answer.text) ?? 0) + 1);
  }
  expect([...counts.keys()].toSorted()).toEqual(["host 1", "host 2", "host 3"]);
  for (const count of counts.values()) expect(count).toBeGreaterThan(10);
  const all = passes(hosts).reduce((sum, each) => sum + each, 0);
  // A third stays at the first host.
  expect(all).toBeGreaterThan(85);
  expect(all).toBeLessThan(115);
  // By plain HTTP a visitor is sent to https all the same.
  expect((await ask(hosts[0]?.port ?? 0, "/", { from: "127.4.5.6" })).status).toBe(301);
}, 60_000);

test("H9 when nothing answers on any host, a request ends after the first peer, and is no storm", async () => {
  const hosts = await Promise.all([1, 2].map(() => siteHost({ agent: () => fromPeers })));
  for (const host of hosts) {
    // All hosts share one list, which names each of them too, as a cutover.yml does.
    const peers = hosts.map(({ port }) => `127.0.0.1:${port}`);
    host.allow({ listen: [`127.0.0.1:${host.port}`], peers });
    await host.serve({ site: { peers: peers.map((server) => ({ server, weight: 2 })) } }, [nobody()]);
  }
  expect((await ask(hosts[0]?.port ?? 0, "/", { from: "127.4.5.6" })).status).toBe(502);
  expect(passes(hosts).reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(3);
  // A visitor who says that he comes from a peer is answered here.
  const headers = { "x-cutover-passed": "1" };
  expect((await ask(hosts[1]?.port ?? 0, "/", { from: "127.4.5.6", headers })).status).toBe(502);
});

test("the host's file decides who its peers are and with which weight; uwsgi is refused with the fix", async () => {
  const [other, spare] = await Promise.all([siteHost(), siteHost()]);
  await other.serve({}, [await backend(saying("other"))]);
  await spare.serve({}, [await backend(saying("spare"))]);
  const host = await siteHost();
  const listen = [`127.0.0.1:${host.port}`];
  host.allow({ listen, weight: 1, pass_to: [{ server: `127.0.0.1:${other.port}`, weight: 3 }] });
  // What cutover.yml names is neither asked nor needs a permission.
  await host.serve({ site: { weight: 9, peers: [{ server: `127.0.0.1:${spare.port}` }] } }, [
    await backend(saying("own")),
  ]);
  const texts: string[] = [];
  for (let count = 0; count < 80; count++) texts.push((await ask(host.port)).text);
  expect(new Set(texts)).toEqual(new Set(["own", "other"]));
  expect(texts.filter((text) => text === "other").length).toBeGreaterThan(45);
  host.allow({ listen, pass_to: [] });
  await host.serve({ site: { peers: [{ server: `127.0.0.1:${spare.port}` }] } }, [await backend(saying("own"))]);
  expect((await ask(host.port)).text).toBe("own");
  const settings = {
    ...appSettingsSchema.parse({ pass_to: [{ server: "10.0.0.11:80" }] }),
    app: "shop",
    file: "shop.yml",
  };
  const config = (protocol: string) => testConfig({ server: { kind: "uwsgi", app: "shop:app", protocol } });
  expect(() => assertHostPolicy(config("uwsgi"), settings)).toThrow(
    expect.objectContaining({ code: "config_invalid", fix: expect.stringContaining("`protocol: http`") }),
  );
  assertHostPolicy(config("http"), settings);
});
