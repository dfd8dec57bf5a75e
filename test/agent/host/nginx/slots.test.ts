import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer, get } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { appLayout } from "../../../../agent/host/layout.ts";
import { Slots, slotSockets } from "../../../../agent/host/nginx/slots.ts";
import type { Share } from "../../../../agent/ports.ts";
import { scratch } from "../scratch.ts";

const share = (run: string, slots: number, count = 1): Share => ({
  run,
  slots,
  instances: Array.from({ length: count }, (_, index) => ({
    name: `web-${index}`,
    socket: `/${run}/web-${index}.sock`,
  })),
});

function tally(sockets: string[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(sockets, (socket) => socket)).map(([k, v]) => [k, v?.length ?? 0]),
  );
}

test("instances get the same number of slots, in turn", () => {
  const sockets = slotSockets([share("a", 60, 4)]);
  expect(tally(sockets)).toEqual({
    "/a/web-0.sock": 15,
    "/a/web-1.sock": 15,
    "/a/web-2.sock": 15,
    "/a/web-3.sock": 15,
  });
  expect(new Set(sockets.slice(0, 4)).size).toBe(4);
  expect(Object.values(tally(slotSockets([share("a", 60, 7)]))).toSorted()).toEqual([8, 8, 8, 9, 9, 9, 9]);
});

test("a small share is spread over the slots", () => {
  const canary = slotSockets([share("old", 54), share("new", 6)]).flatMap((socket, slot) =>
    socket.startsWith("/new/") ? [slot] : [],
  );
  expect(canary).toHaveLength(6);
  const gaps = canary.map((slot, index) => ((canary[(index + 1) % 6] ?? 0) - slot + 60) % 60);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(14);
});

test("a growing share only takes slots, and keeps the instance of each", () => {
  let before = slotSockets([share("old", 60, 2), share("new", 0, 3)]);
  for (let slots = 1; slots <= 60; slots++) {
    const after = slotSockets([share("old", 60 - slots, 2), share("new", slots, 3)]);
    const changed = after.filter((socket, slot) => socket !== before[slot]);
    expect(changed).toHaveLength(1);
    expect(changed[0]).toMatch(/^\/new\//);
    before = after;
  }
});

test.each([[[]], [[share("a", 59)]], [[share("a", 61)]], [[share("a", 60, 0)]]])("shares %j are refused", (shares) => {
  expect(() => slotSockets(shares)).toThrow(expect.objectContaining({ code: "internal" }));
});

test("before a first release the slots are there and point nowhere", async () => {
  const data = scratch();
  const slots = new Slots(data);
  await slots.prepare("shop");
  await slots.prepare("shop");
  const { home, slots: link } = appLayout(data, "shop");
  expect(readlinkSync(link)).toBe("slots.1");
  expect(readdirSync(join(home, "slots.1"))).toHaveLength(60);
  expect(existsSync(join(link, "00"))).toBe(false);
  expect(await slots.assigned("shop")).toEqual(new Map());
  expect(await slots.assigned("other")).toEqual(new Map());
});

test("an assignment is read back, is done once, and leaves nothing behind after tidying", async () => {
  const data = scratch();
  const { home, runDir } = appLayout(data, "shop");
  const at = (run: string, count: number): Share => ({
    ...share(run, count),
    instances: [0, 1].map((n) => ({ name: `web-${n}`, socket: join(runDir(run), `web-${n}.sock`) })),
  });
  const slots = new Slots(data);
  await slots.prepare("shop");
  await slots.assign("shop", [at("a", 60)]);
  await slots.assign("shop", [at("a", 50), at("b", 10)]);
  await slots.assign("shop", [at("a", 50), at("b", 10)]);
  const socket = (run: string, n: number) => join(runDir(run), `web-${n}.sock`);
  expect(await slots.assigned("shop")).toEqual(
    new Map([
      [socket("a", 0), 25],
      [socket("a", 1), 25],
      [socket("b", 0), 5],
      [socket("b", 1), 5],
    ]),
  );
  expect(readlinkSync(join(home, "slots.3", "00"))).toBe("../run/a/web-0.sock");
  await slots.tidy("shop");
  expect(readdirSync(home).toSorted()).toEqual(["slots", "slots.3"]);
});

test("no connection fails while the slots move under a loop of requests", async () => {
  const data = scratch();
  const { runDir, slots: link } = appLayout(data, "shop");
  const shares: Share[] = [];
  for (const run of ["a", "b"]) {
    await mkdir(runDir(run), { recursive: true });
    const socket = join(runDir(run), "web-0.sock");
    const server = createServer((_, response) => response.end(run)).listen(socket);
    onTestFinished(() => void server.close());
    shares.push({ run, slots: 60, instances: [{ name: "web-0", socket }] });
  }
  const slots = new Slots(data);
  await slots.assign("shop", shares.slice(0, 1));
  let moving = true;
  const moves = (async () => {
    for (let n = 0; n < 60; n++) await slots.assign("shop", [shares[n % 2] as Share]).then(() => slots.tidy("shop"));
    moving = false;
  })();
  const answers = { a: 0, b: 0 };
  for (let n = 0; moving; n++) answers[await ask(join(link, String(n % 60).padStart(2, "0")))]++;
  await moves;
  expect(answers.a).toBeGreaterThan(0);
  expect(answers.b).toBeGreaterThan(0);
});

function ask(socketPath: string): Promise<"a" | "b"> {
  return new Promise((resolve, reject) => {
    get({ socketPath, agent: false }, (response) => {
      response.setEncoding("utf8").on("data", (text: "a" | "b") => resolve(text));
    }).on("error", reject);
  });
}
