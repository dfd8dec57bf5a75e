import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer, get } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Share } from "../../../../agent/contracts/ports.ts";
import { SlotLinks, slotAddresses } from "../../../../agent/host/nginx/slots.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { scratch } from "../scratch.ts";

const share = (run: string, slots: number, count = 1): Share => ({
  run,
  slots,
  instances: Array.from({ length: count }, (_, index) => ({
    name: `web-${index}`,
    address: `unix:/${run}/web-${index}.sock`,
    protocol: "http",
  })),
});

function tally(sockets: string[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(sockets, (socket) => socket)).map(([k, v]) => [k, v?.length ?? 0]),
  );
}

test("instances get the same number of slots, in turn", () => {
  const sockets = slotAddresses([share("a", 60, 4)]);
  expect(tally(sockets)).toEqual({
    "unix:/a/web-0.sock": 15,
    "unix:/a/web-1.sock": 15,
    "unix:/a/web-2.sock": 15,
    "unix:/a/web-3.sock": 15,
  });
  expect(new Set(sockets.slice(0, 4)).size).toBe(4);
  expect(Object.values(tally(slotAddresses([share("a", 60, 7)]))).toSorted()).toEqual([8, 8, 8, 9, 9, 9, 9]);
});

test("C20: whatever the number of instances, they differ by at most one slot, within each share", () => {
  for (let count = 1; count <= 60; count++) {
    for (const canary of [0, 1, 7, 30, 59]) {
      const slots = tally(slotAddresses([share("a", 60 - canary, count), share("b", canary, count)]));
      for (const { run, instances } of [share("a", 60, count), share("b", 60, count)]) {
        const each = instances.map(({ address }) => slots[address] ?? 0);
        expect(Math.max(...each) - Math.min(...each), `${count} of ${run} next to ${canary}`).toBeLessThanOrEqual(1);
      }
    }
  }
});

test("a small share is spread over the slots", () => {
  const canary = slotAddresses([share("old", 54), share("new", 6)]).flatMap((socket, slot) =>
    socket.startsWith("unix:/new/") ? [slot] : [],
  );
  expect(canary).toHaveLength(6);
  const gaps = canary.map((slot, index) => ((canary[(index + 1) % 6] ?? 0) - slot + 60) % 60);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(14);
});

test("a growing share only takes slots, and keeps the instance of each", () => {
  let before = slotAddresses([share("old", 60, 2), share("new", 0, 3)]);
  for (let slots = 1; slots <= 60; slots++) {
    const after = slotAddresses([share("old", 60 - slots, 2), share("new", slots, 3)]);
    const changed = after.filter((socket, slot) => socket !== before[slot]);
    expect(changed).toHaveLength(1);
    expect(changed[0]).toMatch(/^unix:\/new\//);
    before = after;
  }
});

test.each([[[]], [[share("a", 59)]], [[share("a", 61)]], [[share("a", 60, 0)]]])("shares %j are refused", (shares) => {
  expect(() => slotAddresses(shares)).toThrow(expect.objectContaining({ code: "internal" }));
});

const socketsOf = (...runs: string[]) => Array.from({ length: 60 }, (_, slot) => runs[slot % runs.length] ?? "");

test("a directory of slots counts from one moment on, and leaves nothing behind after tidying", async () => {
  const data = scratch();
  const { home, runDir } = appLayout(data, "shop");
  await mkdir(home, { recursive: true });
  const socket = (run: string) => join(runDir(run), "web-0.sock");
  const links = new SlotLinks(data);
  expect(await links.sockets("shop", "slots")).toEqual([]);
  const first = await links.prepare("shop", "slots", socketsOf(socket("a")));
  expect(existsSync(links.path("shop", "slots"))).toBe(false);
  await first();
  expect(readlinkSync(links.path("shop", "slots"))).toBe("slots.1");

  const mixed = socketsOf(socket("a"), socket("b"));
  const second = await links.prepare("shop", "slots", mixed);
  expect(await links.sockets("shop", "slots")).toEqual(socketsOf(socket("a")));
  await second();
  expect(await links.sockets("shop", "slots")).toEqual(mixed);
  expect(readlinkSync(join(home, "slots.2", "01"))).toBe("../run/b/web-0.sock");

  await (await links.prepare("shop", "preview-uwsgi", mixed))();
  await links.prepare("shop", "slots", socketsOf(socket("c")));
  await links.tidy("shop");
  expect(readdirSync(home).toSorted()).toEqual(["preview-uwsgi", "preview-uwsgi.1", "slots", "slots.2"]);
});

test("no connection fails while the slots move under a loop of requests", async () => {
  const data = scratch();
  const { runDir } = appLayout(data, "shop");
  const sockets: string[] = [];
  for (const run of ["a", "b"]) {
    await mkdir(runDir(run), { recursive: true });
    const socket = join(runDir(run), "web-0.sock");
    const server = createServer((_, response) => response.end(run)).listen(socket);
    onTestFinished(() => void server.close());
    sockets.push(socket);
  }
  const links = new SlotLinks(data);
  const moveTo = async (socket = "") => (await links.prepare("shop", "slots", socketsOf(socket)))();
  await moveTo(sockets[0]);
  let moving = true;
  const moves = (async () => {
    for (let n = 0; n < 60; n++) await moveTo(sockets[n % 2]).then(() => links.tidy("shop"));
    moving = false;
  })();
  const answers = { a: 0, b: 0 };
  const link = links.path("shop", "slots");
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
