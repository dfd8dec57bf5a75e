import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { latencyQuantile } from "../../../../agent/contracts/requests.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { ask, backend, nobody, saying, uwsgiBackend } from "../nginx/site-host.ts";
import { eventually, freePort } from "../scratch.ts";
import { apart, counting, countingHost, v1, v2 } from "./counting-host.ts";

const failing =
  (name: string) => (request: { url?: string | undefined }, response: import("node:http").ServerResponse) => {
    if (request.url?.startsWith("/checkout")) response.statusCode = 500;
    response.end(name);
  };

/** @returns how many answers each instance gave */
async function askTimes(port: number, times: number, path = "/"): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  for (let n = 0; n < times; n++) {
    const { text } = await ask(port, path);
    answers[text] = (answers[text] ?? 0) + 1;
  }
  return answers;
}

test("each request counts once, for the release that its slot led to at that time", async () => {
  const { host, route, counts, requests, gap } = await countingHost();
  const [one, two] = [await backend(saying("v1")), await backend(failing("v2"))];
  await route([{ run: v1, instances: [one], slots: 60 }]);
  const from = Date.now();
  await askTimes(host.port, 20);
  await apart(() =>
    route([
      { run: v1, instances: [one], slots: 30 },
      { run: v2, instances: [two], slots: 30 },
    ]),
  );
  const { v1: old = 0, v2: canary = 0 } = await askTimes(host.port, 20);
  await apart(() => route([{ run: v2, instances: [two], slots: 60 }]));
  await askTimes(host.port, 10);
  await askTimes(host.port, 5, "/checkout/pay?card=1234");
  expect(await counts()).toEqual({ [v1]: [20 + old, 0], [v2]: [15 + canary, 5] });
  expect([old, canary].every((count) => count > 5)).toBe(true);
  const { runs, readUntil } = requests.counted("shop", { from });
  expect(runs.find(({ run }) => run === v2)?.failing).toEqual([{ path: "/checkout/pay", count: 5 }]);
  expect(readUntil).toBeGreaterThan(from);
  expect(gap(from)).toBe(undefined);
  const totals = requests.totals("shop");
  expect([totals.live?.requests, totals.canary?.requests, totals.none]).toEqual([...[35 + old, canary], undefined]);
  const { live = [], canary: its = [], none } = requests.latest("shop");
  const [last, before] = [live, its].map((all) => all.filter((request) => request !== undefined));
  expect([new Set(before?.map(({ release }) => release)), none]).toEqual([new Set([v2]), undefined]);
  expect(last?.toSorted((a, b) => b.time - a.time)[0]).toMatchObject({ release: v2, ms: expect.any(Number) });
  for (const { time } of last ?? []) expect([time >= from, time <= Date.now()]).toEqual([true, true]);
});

test("the lines name no visitor, no cookie, no query, and no path that has not failed", async () => {
  const { host, route, file } = await countingHost();
  await route([{ run: v1, instances: [await backend(failing("v1"))], slots: 60 }]);
  await ask(host.port, "/account?secret=1", { headers: { cookie: "session=2", authorization: "Basic 3" } });
  await ask(host.port, "/checkout?secret=4");
  await ask(host.port, `/checkout/${"x".repeat(3000)}`);
  await eventually(async () => readFileSync(file, "utf8").split("\n").length > 3);
  const text = readFileSync(file, "utf8");
  expect(text).not.toMatch(/account|secret|session|Basic|127\.0\.0\.1/);
  expect(text).toMatch(/"\/checkout"\n.*"\/checkout\/x{190}"\n$/s);
});

test("with ports, over a reload", async () => {
  const { host, route, counts } = await countingHost();
  const ports = [await freePort(), await freePort()];
  const [one, two] = await Promise.all(
    ports.map(async (port) => {
      const { server } = await backend(saying("on a port"));
      await new Promise<void>((resolve) => void server.close(() => server.listen(port, "127.0.0.1", resolve)));
      return { name: "web-0", address: `127.0.0.1:${port}`, protocol: "http" as const };
    }),
  );
  if (one === undefined || two === undefined) throw new Error("no ports");
  const server = { server: { kind: "gunicorn", app: "shop:app", instances: 1, bind: "port" } };
  await route([{ run: v1, instances: [one], slots: 60 }], server);
  await askTimes(host.port, 10);
  await apart(() => route([{ run: v2, instances: [two], slots: 60 }], server));
  await askTimes(host.port, 10);
  expect(await counts()).toEqual({ [v1]: [10, 0], [v2]: [10, 0] });
});

test("in the uwsgi protocol; what no instance answered has no release", async () => {
  const { host, route, counts } = await countingHost();
  const server = { server: { kind: "uwsgi", app: "shop:app", protocol: "uwsgi" } };
  await route([{ run: v1, instances: [await uwsgiBackend()], slots: 60 }], server);
  await askTimes(host.port, 3);
  writeFileSync(join(host.home, "none"), "");
  host.file("maintenance/on", "");
  await askTimes(host.port, 2);
  expect(await counts()).toEqual({ [v1]: [3, 0], none: [2, 2] });
});

test("an instance that is gone fails its release", async () => {
  const { host, route, counts } = await countingHost();
  await route([{ run: v1, instances: [nobody()], slots: 60 }]);
  await askTimes(host.port, 3);
  expect(await counts()).toEqual({ [v1]: [3, 3] });
});

test("visitors of the preview are left out, by cookie and on its own address", async () => {
  const { host, route, counts } = await countingHost();
  const listen = await freePort();
  host.allow({ preview: [`127.0.0.1:${listen}`] });
  const [one, two] = [await backend(saying("v1")), await backend(saying("v2"))];
  const site = { site: { preview: { cookie: "preview=blue", listen: `127.0.0.1:${listen}` } } };
  await route([{ run: v1, instances: [one], slots: 60 }], site, { run: v2, instances: [two], slots: 60 });
  expect((await ask(host.port, "/", { headers: { cookie: "preview=blue" } })).text).toBe("v2");
  expect((await ask(listen)).text).toBe("v2");
  await askTimes(host.port, 4);
  expect(await counts()).toEqual({ [v1]: [4, 0] });
});

test("site none: the lines of the docs, in the owner's own block, count", async () => {
  const { host, route, counts, requests } = await countingHost();
  const { conf_dir: confDir, conf = "" } = host.settings.nginx;
  const one = await backend(failing("v1"));
  await route([{ run: v1, instances: [one], slots: 60 }], { site: "none" });
  const [, example = ""] =
    /```nginx\n(set \$cutover_shop_log.*?)```/s.exec(readFileSync("agent/host/README.md", "utf8")) ?? [];
  const lines = example.replaceAll("/var/lib/cutover", host.settings.data);
  const own = await freePort();
  const block = (more: string) =>
    writeFileSync(
      join(confDir, "own.conf"),
      `server { listen 127.0.0.1:${own}; ${more} location / { proxy_pass http://shop; } }\n`,
    );
  block("");
  execFileSync("nginx", ["-c", conf, "-s", "reload"], { stdio: "ignore" });
  await eventually(() =>
    ask(own).then(
      () => true,
      () => false,
    ),
  );
  expect(await counts()).toEqual({});
  expect(requests.counted("shop", { from: 0 }).absent).toBe(true);
  block(lines);
  execFileSync("nginx", ["-c", conf, "-s", "reload"], { stdio: "ignore" });
  await eventually(async () => {
    await ask(own);
    return (await counts())[v1] !== undefined;
  });
  const before = (await counts())[v1]?.[0] ?? 0;
  await askTimes(own, 5, "/checkout?card=1234");
  expect(await counts()).toEqual({ [v1]: [before + 5, 5] });
  expect(requests.counted("shop", { from: 0 }).absent).toBe(undefined);
});

test("what nginx refuses before it has read it fills no log, and is no request of a release", async () => {
  const { host, route, counts } = await countingHost();
  await route([{ run: v1, instances: [await backend(saying("v1"))], slots: 60 }]);
  for (const text of ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", `GET /${"x".repeat(40_000)} HTTP/1.1\r\n\r\n`]) {
    const socket = connect(host.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(text);
    socket.resume();
    await once(socket, "close");
  }
  await askTimes(host.port, 2);
  expect((await counts())[v1]).toEqual([2, 0]);
  expect(readFileSync(host.log("cutover-shop.error.log"), "utf8")).not.toContain("uninitialized");
});

test("a WebSocket is a request, and no slow answer", async () => {
  const { host, route, counts, requests } = await countingHost();
  const one = await backend(saying("v1"));
  one.server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    setTimeout(() => socket.end(), 1500);
  });
  await route([{ run: v1, instances: [one], slots: 60 }], { site: { upgrade: true } });
  const socket = connect(host.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  expect(await counts()).toEqual({ [v1]: [1, 0] });
  const [run] = requests.counted("shop", { from: 0 }).runs;
  expect([run?.classes["1xx"], latencyQuantile(run ?? { latency: [] }, 0.95)]).toEqual([1, undefined]);
});

test("over rotation under load, and over a restart of the agent: nothing is lost or counted twice", async () => {
  const { host, route, counts, requests, file } = await countingHost();
  const one = await backend(saying("v1"));
  await route([{ run: v1, instances: [one], slots: 60 }]);
  const from = Date.now();
  let asked = 0;
  let going = true;
  const load = (async () => {
    for (; going; asked++) await ask(host.port);
  })();
  await eventually(async () => (await counts())[v1]?.[0] !== undefined);
  // As if it were large.
  for (let n = 0; n < 3; n++) {
    const before = statSync(file).ino;
    renameSync(file, `${file}.1`);
    await host.privileged.rotateRequests("shop");
    await eventually(async () => existsSync(file) && statSync(file).ino !== before);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await counts();
  }
  await requests.close();
  const next = await counting(host);
  await next.route([{ run: v1, instances: [one], slots: 60 }]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  going = false;
  await load;
  expect(await next.counts()).toEqual({ [v1]: [asked, 0] });
  expect(next.gap(from)).toBe(undefined);
  expect(asked).toBeGreaterThan(50);
});

test("an agent that was killed has lost nothing: the next one reads again what was not saved", async () => {
  const { host, route, counts, requests } = await countingHost();
  const one = await backend(saying("v1"));
  await route([{ run: v1, instances: [one], slots: 60 }]);
  await askTimes(host.port, 5);
  await counts();
  // Nothing is closed or saved.
  const next = await counting(host);
  await next.route([{ run: v1, instances: [one], slots: 60 }]);
  await askTimes(host.port, 5);
  expect(await next.counts()).toEqual({ [v1]: [10, 0] });
  expect(requests).toBeDefined();
});

test("without an agent nginx serves, and writes no more lines", async () => {
  const { host, route, requests, file } = await countingHost();
  await route([{ run: v1, instances: [await backend(saying("v1"))], slots: 60 }]);
  await askTimes(host.port, 2);
  await requests.close();
  rmSync(requestPlaces(host.settings.data).periods, { recursive: true });
  const before = statSync(file).size;
  expect((await ask(host.port)).status).toBe(200);
  expect(statSync(file).size).toBe(before);
});

test.each([
  ["removed", (file: string) => rmSync(file), "the file of lines was removed or replaced"],
  ["cut off", (file: string) => truncateSync(file), "the file of lines was cut off"],
  [
    "written by another program",
    (file: string) => writeFileSync(file, "hello\n", { flag: "a" }),
    "lines came that nginx did not write, or not to their end",
  ],
  ["moved away", (file: string) => renameSync(file, `${file}.old`), "the file of lines was removed or replaced"],
])("a file of lines that is %s is a gap, and counting goes on", async (_how, harm, why) => {
  const { host, route, counts, gap, file } = await countingHost();
  await route([{ run: v1, instances: [await backend(saying("v1"))], slots: 60 }]);
  const from = Date.now();
  await askTimes(host.port, 5);
  expect(await counts()).toEqual({ [v1]: [5, 0] });
  expect(gap(from)).toBe(undefined);
  harm(file);
  await counts();
  expect(gap(from)).toBe(why);
  await eventually(async () => existsSync(file));
  const again = Date.now() + 2500;
  await eventually(async () => Date.now() > again);
  const before = (await counts())[v1]?.[0] ?? 0;
  await askTimes(host.port, 5);
  expect((await counts())[v1]?.[0]).toBe(before + 5);
  expect(gap(again)).toBe(undefined);
});
