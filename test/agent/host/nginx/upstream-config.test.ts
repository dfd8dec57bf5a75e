import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { SitePart } from "../../../../agent/contracts/privileged.ts";
import { renderUpstreams, serversOf } from "../../../../agent/host/nginx/upstream-config.ts";
import { testConfig } from "../scratch.ts";
import { ask, backend, nobody, type SiteHost, siteHost } from "./site-host.ts";

const links = "/var/lib/cutover/apps/shop/slots";
const sockets = new Array<null>(60).fill(null);
const slotLines = (end: string) =>
  sockets.map((_, slot) => `    server "unix:${links}/${String(slot).padStart(2, "0")}" max_fails=0${end};\n`).join("");

function render(site: object, slots: SitePart["slots"] = sockets, peers = true): string {
  return renderUpstreams([{ name: "shop", part: { config: testConfig({ site }), slots }, links, peers }]);
}

test("a plain upstream, exactly", () => {
  expect(render({})).toBe(`# Written by cutover. Changes are lost.\nupstream shop {\n${slotLines("")}}\n`);
});

test.each([
  ["ip_hash", "    ip_hash;\n"],
  ["least_conn", "    zone cutover-shop.conns 256k;\n    least_conn;\n"],
  ["url_hash", "    hash $request_uri consistent;\n"],
])("balance %s, exactly", (balance, lines) => {
  expect(render({ balance })).toBe(
    `# Written by cutover. Changes are lost.\nupstream shop {\n${lines}${slotLines("")}}\n`,
  );
});

test("peers beside the slots, exactly; a preview has none", () => {
  const site = {
    weight: 5,
    peers: [
      { server: "10.0.0.11:8000", weight: 10 },
      { server: "[2001:db8::1]:80" },
      { server: "node:8080", backup: true },
    ],
  };
  expect(render(site)).toBe(
    `# Written by cutover. Changes are lost.\nupstream shop {\n${slotLines("")}` +
      `    server "10.0.0.11:8000" weight=120;\n    server "[2001:db8::1]:80" weight=12;\n    server "node:8080" weight=12 backup;\n}\n`,
  );
  expect(render(site, sockets, false)).toBe(render({}));
});

test("ports and sockets mixed are read back as they were written, with weights and without the peers", () => {
  const slots = sockets.map((_, slot) => (slot % 2 === 0 ? 9000 + slot : null));
  for (const site of [{}, { weight: 7, peers: [{ server: "10.0.0.11:8000", weight: 3 }] }]) {
    const text = render(site, slots);
    const servers = serversOf(text, "shop");
    expect(servers).toHaveLength(60);
    expect(servers.slice(0, 3)).toEqual(["127.0.0.1:9000", `unix:${links}/01`, "127.0.0.1:9002"]);
    expect(serversOf(text, "shop.preview")).toEqual([]);
  }
});

test.each(["round_robin", "ip_hash", "least_conn", "url_hash"])(
  "weights under %s are those of the configuration",
  (balance) => {
    for (const [own, ...peers] of [
      [1, 1],
      [5, 10],
      [99, 100],
      [100, 1],
      [7, 9, 11],
      [100, ...new Array<number>(32).fill(1)],
      [1, ...new Array<number>(32).fill(100)],
    ] as [number, ...number[]][]) {
      const site = { balance, weight: own, peers: peers.map((weight, n) => ({ server: `10.0.0.${n}:80`, weight })) };
      const lines = render(site).matchAll(/server "(\S+)"(?: max_fails=0)?(?: weight=(\d+))?;/g);
      const weights = [...lines].map(([, , weight]) => Number(weight ?? 1));
      const total = weights.reduce((a, b) => a + b);
      const wanted = peers.reduce((a, b) => a + b, own);
      const exact = balance === "round_robin" || balance === "least_conn";
      for (const [n, peer] of peers.entries()) {
        expect(Math.abs((weights[60 + n] ?? 0) / total - peer / wanted)).toBeLessThanOrEqual(exact ? 1e-9 : 0.005);
      }
      if (!exact && peers.length < 3) expect(total).toBeLessThan(400);
    }
  },
);

/** A server on a port that counts what it is asked. */
async function peer() {
  const counted = { server: "", asked: 0 };
  const server = createServer((_request, response) => {
    counted.asked++;
    response.end("peer");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  counted.server = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return counted;
}

async function manyRequests(host: SiteHost, balance: string): Promise<void> {
  if (balance === "ip_hash") {
    for (let a = 0; a < 16; a++) {
      await Promise.all(Array.from({ length: 128 }, (_, b) => ask(host.port, "/", { from: `127.${a}.${b}.1` })));
    }
    return;
  }
  if (balance === "url_hash") {
    await Promise.all(Array.from({ length: 16 }, (_, connection) => requestsOn(host.port, connection * 625, 625)));
    return;
  }
  // One after the other if it counts open connections, so that only the weights decide.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  for (let n = 0; n < 800; n++) {
    await new Promise<void>((resolve, reject) => {
      const call = request({ host: "127.0.0.1", port: host.port, path: `/${n}`, agent }, (response) => {
        response.resume().on("end", resolve);
      });
      call.on("error", reject).end();
    });
  }
}

/** Sends them on one connection without waiting for answers, which on a busy machine takes a part of the time. */
function requestsOn(port: number, first: number, count: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(port, "127.0.0.1").setEncoding("utf8");
  let answers = "";
  socket.on("data", (text) => {
    answers += text;
  });
  socket.on("error", reject).on("end", () => {
    const served = answers.match(/HTTP\/1\.1 200 /g)?.length ?? 0;
    if (served === count) resolve();
    else reject(new Error(`${served} of ${count} requests were served`));
  });
  const texts = Array.from({ length: count }, (_, n) => {
    const last = n === count - 1 ? "Connection: close\r\n" : "";
    return `GET /${first + n} HTTP/1.1\r\nHost: shop.example.com\r\n${last}\r\n`;
  });
  socket.write(texts.join(""));
  return promise;
}

test.each(["round_robin", "ip_hash", "least_conn", "url_hash"])(
  "%s: each gets its share of real requests",
  async (balance) => {
    const host = await siteHost();
    const [first, second] = [await peer(), await peer()];
    host.allow({ peers: [first.server, second.server] });
    let own = 0;
    const instance = await backend((_request, response) => {
      own++;
      response.end("own");
    });
    const peers = [
      { server: first.server, weight: 2 },
      { server: second.server, weight: 1 },
    ];
    await host.serve({ site: { balance, weight: 3, peers, access_log: false } }, [instance]);
    await manyRequests(host, balance);
    const total = own + first.asked + second.asked;
    for (const [asked, share] of [
      [own, 50],
      [first.asked, 100 / 3],
      [second.asked, 100 / 6],
    ] as const) {
      expect(Math.abs((100 * asked) / total - share)).toBeLessThan(2);
    }
  },
  30_000,
);

test("C2: a consistent hash gets each address once, with the weight of its slots; the slots are read back", () => {
  const slots = sockets.map((_, slot) => (slot % 10 === 3 ? 9001 : 9000));
  const peers = [{ server: "10.0.0.11:8000", weight: 2 }, { server: "10.0.0.12:80" }, { server: "10.0.0.11:8000" }];
  const text = render({ balance: "url_hash", weight: 2, peers }, slots);
  expect(text).toBe(
    "# Written by cutover. Changes are lost.\nupstream shop {\n    hash $request_uri consistent;\n" +
      '    server "127.0.0.1:9000" max_fails=0 weight=54;\n    server "127.0.0.1:9001" max_fails=0 weight=6;\n' +
      '    server "10.0.0.11:8000" weight=90;\n    server "10.0.0.12:80" weight=30;\n}\n',
  );
  expect(serversOf(text, "shop").toSorted()).toEqual(slots.map((port) => `127.0.0.1:${port}`).toSorted());
  const mixed = render({ balance: "url_hash" }, [...slots.slice(0, 7), null, ...slots.slice(8)]);
  expect(mixed).toContain(`server "unix:${links}/07" max_fails=0;`);
  expect(serversOf(mixed, "shop").filter((server) => server === "127.0.0.1:9000")).toHaveLength(53);
});

test("C2: with url_hash and ports a canary of 10 % gets 10 % of what this host gets, and each host its share", async () => {
  const host = await siteHost();
  const [live, canary, other] = [await peer(), await peer(), await peer()];
  host.allow({ peers: [other.server] });
  const site = { balance: "url_hash", access_log: false };
  const share = (run: string, { server: address }: { server: string }, slots: number) => ({
    ...{ run, slots },
    instances: [{ name: "web-0", address, protocol: "http" as const }],
  });
  const asked = async (settings: object): Promise<[number, number, number]> => {
    const shares = [share("v1", live, 54), share("v2", canary, 6)];
    await host.traffic.route("shop", { main: { config: testConfig({ site: settings }), shares }, preview: null });
    for (const one of [live, canary, other]) one.asked = 0;
    await manyRequests(host, "url_hash");
    return [live.asked / 100, canary.asked / 100, other.asked / 100];
  };
  const [, tenth] = await asked(site);
  expect(Math.abs(tenth - 10)).toBeLessThan(3);
  const [own, part, theirs] = await asked({ ...site, peers: [{ server: other.server }] });
  expect(Math.abs(theirs - 50)).toBeLessThan(4);
  expect(Math.abs((100 * part) / (own + part) - 10)).toBeLessThan(3);
  expect(await host.traffic.assigned("shop")).toEqual(
    new Map([
      [live.server, 54],
      [canary.server, 6],
    ]),
  );
}, 60_000);

test("a backup is asked only when nothing else answers, and a peer that is gone costs no request", async () => {
  const host = await siteHost();
  const [spare, gone] = [await peer(), "127.0.0.1:1"];
  host.allow({ peers: [spare.server, gone] });
  const instance = await backend((_request, response) => response.end("own"));
  const peers = [{ server: gone }, { server: spare.server, backup: true }];
  await host.serve({ site: { peers } }, [instance]);
  for (let n = 0; n < 20; n++) expect((await ask(host.port)).text).toBe("own");
  expect(spare.asked).toBe(0);
  await host.serve({ site: { peers } }, [nobody()]);
  expect((await ask(host.port)).text).toBe("peer");
});

test("a peer that the host does not allow", async () => {
  const host = await siteHost();
  await expect(host.serve({ site: { peers: [{ server: "10.0.0.11:8000" }] } }, [nobody()])).rejects.toMatchObject({
    code: "peer_not_allowed",
    fix: expect.stringMatching(/shop\.yml on the host, write: peers: \[10\.0\.0\.11:8000\]$/),
  });
});
