import { mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RoutePart, Share } from "../../../../agent/contracts/ports.ts";
import type { Instance, Privileged, SiteRequest } from "../../../../agent/contracts/privileged.ts";
import { portAddress, socketAddress } from "../../../../agent/host/net/address.ts";
import { SlotLinks, slotLink } from "../../../../agent/host/nginx/slots.ts";
import { NginxTraffic } from "../../../../agent/host/nginx/traffic.ts";
import {
  mainUpstream,
  previewUpstream,
  renderUpstreams,
  serversOf,
} from "../../../../agent/host/nginx/upstream-config.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { type Config, configSchema } from "../../../../shared/config.ts";
import { protocolOf } from "../../../../shared/config-server.ts";
import { scratch } from "../scratch.ts";

/** nginx's side of the border: it keeps the upstream's text, or refuses it if the test wants that. */
class FakeNginx implements Pick<Privileged, "writeSite" | "upstreamServers" | "oldWorkers"> {
  text = "";
  refuses = false;
  /** What an interrupted write has kept; it comes back at a refusal. */
  kept: string | undefined;
  /** Where the link `slots/00` led when nginx was given a new text, and all of them. */
  readonly linkAtWrite: (string | undefined)[] = [];
  linksAtWrite: (string | undefined)[] = [];
  readonly #data: string;

  constructor(data: string) {
    this.#data = data;
  }

  async writeSite(app: string, { main, preview }: SiteRequest): Promise<{ changed: boolean }> {
    const links = new SlotLinks(this.#data);
    const path = (which: "main" | "preview", config: Config) =>
      links.path(app, slotLink(which, protocolOf(config.server)));
    const text = renderUpstreams([
      ...(main === null
        ? []
        : [{ name: mainUpstream(app), part: main, peers: false, links: path("main", main.config) }]),
      ...(preview === null
        ? []
        : [{ name: previewUpstream(app), part: preview, peers: false, links: path("preview", preview.config) }]),
    ]);
    if (text === this.text) return { changed: false };
    this.linksAtWrite = await links.sockets(app, "slots");
    this.linkAtWrite.push(this.linksAtWrite[0]);
    if (this.refuses) {
      this.text = this.kept ?? this.text;
      this.kept = undefined;
      throw new Error("nginx refuses");
    }
    this.text = text;
    return { changed: true };
  }

  async upstreamServers(app: string) {
    const serversIn = (text: string) =>
      [mainUpstream(app), previewUpstream(app)].map((name) => serversOf(text, name)) as [string[], string[]];
    const [main, preview] = serversIn(this.text);
    return { main, preview, unread: this.kept !== undefined, before: serversIn(this.kept ?? "").flat() };
  }

  async oldWorkers(): Promise<boolean> {
    return true;
  }
}

function host() {
  const data = scratch();
  const layout = appLayout(data, "shop");
  mkdirSync(layout.home, { recursive: true });
  const nginx = new FakeNginx(data);
  const traffic = new NginxTraffic(data, nginx);
  const config = (server: object = {}, site: object = {}) =>
    configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app", ...server }, site });
  const onSocket = (run: string): Instance => ({
    name: "web-0",
    address: socketAddress(join(layout.runDir(run), "web-0.sock")),
    protocol: "http",
  });
  const onPort = (port: number): Instance => ({ name: "web-0", address: portAddress(port), protocol: "http" });
  const share = (run: string, instance: Instance, slots = 60): Share => ({ run, instances: [instance], slots });
  const route = (main: RoutePart | null, preview: RoutePart | null = null) => traffic.route("shop", { main, preview });
  return { layout, nginx, traffic, config, onSocket, onPort, share, route };
}

test("between sockets the traffic moves by links alone", async () => {
  const { nginx, traffic, config, onSocket, share, route } = host();
  const [a, b] = [onSocket("a"), onSocket("b")];
  expect(await route({ config: config(), shares: [share("a", a)] })).toEqual({ reloaded: true });
  expect(await traffic.assigned("shop")).toEqual(new Map([[a.address, 60]]));
  expect(await route({ config: config(), shares: [share("a", a, 45), share("b", b, 15)] })).toEqual({
    reloaded: false,
  });
  expect(await traffic.assigned("shop")).toEqual(
    new Map([
      [a.address, 45],
      [b.address, 15],
    ]),
  );
  expect(await route({ config: config(), shares: [share("b", b)] })).toEqual({ reloaded: false });
  expect(nginx.linkAtWrite).toHaveLength(1);
});

test("ports stand in nginx's upstream, in the same slots", async () => {
  const { traffic, config, onPort, share, route } = host();
  const onPorts = config({ bind: "port" });
  expect(await route({ config: onPorts, shares: [share("a", onPort(9001))] })).toEqual({ reloaded: true });
  const gray = { config: onPorts, shares: [share("a", onPort(9001), 57), share("b", onPort(9002), 3)] };
  expect(await route(gray)).toEqual({ reloaded: true });
  expect(await route(gray)).toEqual({ reloaded: false });
  expect(await traffic.assigned("shop")).toEqual(
    new Map([
      ["127.0.0.1:9001", 57],
      ["127.0.0.1:9002", 3],
    ]),
  );
});

test("from ports to sockets the links lead there before nginx looks at them", async () => {
  const { layout, nginx, traffic, config, onSocket, onPort, share, route } = host();
  await route({ config: config({ bind: "port" }), shares: [share("a", onPort(9001))] });
  await route({ config: config(), shares: [share("b", onSocket("b"))] });
  expect(nginx.linkAtWrite).toEqual([undefined, join(layout.runDir("b"), "web-0.sock")]);
  expect(await traffic.assigned("shop")).toEqual(new Map([[onSocket("b").address, 60]]));
});

test("n47: a canary on sockets beside ports gets no more slots while another release on sockets takes them all", async () => {
  const { layout, nginx, traffic, config, onSocket, onPort, share, route } = host();
  const socketOf = (run: string) => join(layout.runDir(run), "web-0.sock");
  await route({ config: config(), shares: [share("a", onPort(9001), 54), share("b", onSocket("b"), 6)] });
  const used = nginx.text.match(/slots\/\d\d/g)?.map((link) => Number(link.slice(-2)));
  expect(used).toHaveLength(6);

  await route({ config: config(), shares: [share("c", onSocket("c"))] });
  nginx.linksAtWrite.forEach((socket, slot) => {
    expect(socket).toBe(socketOf(used?.includes(slot) ? "b" : "c"));
  });
  expect(await traffic.assigned("shop")).toEqual(new Map([[onSocket("c").address, 60]]));
});

test("a link that a port replaces leads to its old socket until nginx has the port, and the same route again makes nothing", async () => {
  const { layout, nginx, traffic, config, onSocket, onPort, share, route } = host();
  await route({ config: config(), shares: [share("a", onSocket("a"))] });
  const gray = { config: config(), shares: [share("c", onPort(9001), 54), share("b", onSocket("b"), 6)] };
  await route(gray);
  expect(new Set(nginx.linksAtWrite)).toEqual(new Set([join(layout.runDir("a"), "web-0.sock")]));
  expect(await traffic.assigned("shop")).toEqual(
    new Map([
      ["127.0.0.1:9001", 54],
      [onSocket("b").address, 6],
    ]),
  );

  const made = readdirSync(layout.home);
  expect(await route(gray)).toEqual({ reloaded: false });
  expect(readdirSync(layout.home)).toEqual(made);
});

test("where nginx refuses, nobody's requests have moved", async () => {
  const { nginx, traffic, config, onSocket, onPort, share, route } = host();
  await route({ config: config(), shares: [share("a", onSocket("a"))] });
  nginx.refuses = true;
  const before = new Map([[onSocket("a").address, 60]]);
  for (const main of [
    { config: config({}, { balance: "ip_hash" }), shares: [share("b", onSocket("b"))] },
    { config: config({ bind: "port" }), shares: [share("b", onPort(9001))] },
    { config: config({ kind: "uwsgi" }), shares: [share("b", onSocket("b"))] },
  ]) {
    await expect(route(main)).rejects.toThrow("nginx refuses");
    expect(await traffic.assigned("shop")).toEqual(before);
  }
});

test("n50: where nginx refuses after an interrupted removal, the site that comes back leads to its own release", async () => {
  const { nginx, traffic, config, onSocket, share, route } = host();
  await route({ config: config(), shares: [share("a", onSocket("a"))] });
  nginx.kept = nginx.text;
  nginx.text = "";
  nginx.refuses = true;
  await expect(route({ config: config(), shares: [share("b", onSocket("b"))] })).rejects.toThrow("nginx refuses");
  expect(await traffic.assigned("shop")).toEqual(new Map([[onSocket("a").address, 60]]));
});

test("another protocol has links of its own, and the preview too", async () => {
  const { layout, config, onSocket, share, route } = host();
  await route({ config: config(), shares: [share("a", onSocket("a"))] });
  const uwsgi = config({ kind: "uwsgi" });
  await route(
    { config: uwsgi, shares: [share("b", onSocket("b"))] },
    { config: config(), shares: [share("c", onSocket("c"))] },
  );
  const leadsTo = (link: string) => readlinkSync(join(layout.home, link, "00"));
  expect(leadsTo("slots")).toBe("../run/a/web-0.sock");
  expect(leadsTo("slots-uwsgi")).toBe("../run/b/web-0.sock");
  expect(leadsTo("preview")).toBe("../run/c/web-0.sock");
});

test("only with ports do nginx's old workers have to be gone", async () => {
  const { traffic } = host();
  expect(await traffic.settled("shop", { ports: false })).toBe(true);
  expect(await traffic.settled("shop", { ports: true })).toBe(false);
});
