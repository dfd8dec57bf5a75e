import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { requestFile } from "../../../../agent/host/nginx/request-log.ts";
import { RequestCounts } from "../../../../agent/host/requests/request-counts.ts";
import { requestPlaces } from "../../../../agent/host/store/layout.ts";
import { scratch } from "../scratch.ts";
import { setClock, v1, v2 } from "./counting-host.ts";

const links = "unix:/apps/shop/slots/";
const led = (run: string) => ({ runs: [run], links, slots: "0".repeat(60), ports: {} });

/** A line as nginx writes it. */
const line = (time: number, { status = 200, took = "0.010", slot = "00" } = {}) =>
  `${(time / 1000).toFixed(3)} ${status} ${took} 100 "${status}" "${took}" "${links}${slot}" "${status < 500 ? "" : "/bad"}"\n`;

/** An agent that counts lines which this test writes; there is no nginx. */
function counting(data = scratch(), clock = setClock()) {
  const places = requestPlaces(data);
  const file = requestFile(places, "shop");
  mkdirSync(dirname(file), { recursive: true });
  const rotations: number[] = [];
  const trouble: unknown[] = [];
  const requests = new RequestCounts({
    ...{ places, clock, apps: async () => ["shop"], onTrouble: (err: unknown) => trouble.push(err) },
    rotate: async () => {
      rotations.push(clock.elapsed());
      if (existsSync(file)) renameSync(file, `${file}.1`);
      writeFileSync(file, "");
    },
  });
  onTestFinished(() => requests.close());
  const counted = (from = 0) => requests.counted("shop", { from });
  return {
    ...{ data, places, file, clock, requests, rotations, trouble, counted },
    write: (text: string) => appendFileSync(file, text),
    async lead(run: string): Promise<void> {
      await requests.moving("shop", led(run));
      await requests.moved("shop", { always: false });
    },
    async read(from = 0) {
      await requests.read("shop");
      const { runs, gap } = counted(from);
      return { runs: Object.fromEntries(runs.map(({ run, requests: all }) => [run ?? "none", all])), gap };
    },
  };
}

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("100,000 lines a second: a bounded piece is read, the rest is a gap, and the file is rotated", async () => {
  const { requests, write, lead, read, counted, rotations, file, clock } = counting();
  await requests.start();
  await lead(v1);
  await after(50);
  const from = clock.now();
  const second = line(from).repeat(100_000);
  for (let n = 1; n <= 6; n++) {
    // At first those of six seconds, so that a machine on which this loop takes long has as much to read.
    write(n === 1 ? second.repeat(6) : second);
    const began = process.cpuUsage();
    await read(from);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(400);
  }
  expect(counted(from).gap).toBe("there were more lines than the agent reads");
  expect(rotations.length).toBeGreaterThan(0);
  expect(statSync(file).size).toBeLessThan(2 * second.length);
});

test("20,000 lines are read whole, over several reads", async () => {
  const { requests, write, lead, read, clock } = counting();
  await requests.start();
  await lead(v1);
  await after(50);
  const from = clock.now();
  write(line(from).repeat(20_000));
  for (let n = 0; n < 3; n++) await read(from);
  expect(await read(from)).toEqual({ runs: { [v1]: 20_000 }, gap: undefined });
});

test("what nginx wrote while the agent was away for two minutes is read in pieces, and nothing is lost", async () => {
  const first = counting();
  await first.requests.start();
  await first.lead(v1);
  await after(50);
  const from = first.clock.now();
  await first.requests.close();
  first.write(line(from).repeat(200_000));
  const next = counting(first.data, first.clock);
  await next.requests.start();
  for (let n = 0; n < 12; n++) await next.read(from);
  expect(await next.read(from)).toEqual({ runs: { [v1]: 200_000 }, gap: undefined });
});

test.each([
  ["back", -3600_000],
  ["forward", 3600_000],
])("a clock that is set %s is a gap for what was before, and counting goes on", async (_way, by) => {
  const { requests, write, lead, read, clock } = counting();
  await requests.start();
  await lead(v1);
  await after(50);
  const before = clock.now();
  write(line(before));
  expect(await read(before)).toEqual({ runs: { [v1]: 1 }, gap: undefined });
  clock.off = by;
  await read();
  expect((await read(before)).gap).toBe("the host's clock was set");
  const from = clock.now() + 1000;
  await after(1050);
  write(line(clock.now()).repeat(2));
  expect(await read(from)).toEqual({ runs: { [v1]: 2 }, gap: undefined });
});

test("a line from the future is a gap: its clock is not the agent's", async () => {
  const { requests, write, lead, read, clock } = counting();
  await requests.start();
  await lead(v1);
  const from = clock.now();
  write(line(from + 60_000));
  expect(await read(from)).toEqual({ runs: {}, gap: "the host's clock was set" });
});

test("a request that was on its way while its slot moved belongs to no run; one before and one after do", async () => {
  const { requests, write, lead, read, clock } = counting();
  await requests.start();
  await lead(v1);
  await after(100);
  const from = clock.now();
  await after(100);
  await requests.moving("shop", led(v2));
  await after(100);
  await requests.moved("shop", { always: false });
  const moved = clock.now();
  await after(100);
  write(line(from + 50));
  write(line(moved - 50, { took: "0.020" }));
  // Long ones: nginx connected before the move, or after it.
  write(line(moved + 60, { took: ((moved + 60 - (from + 50)) / 1000).toFixed(3) }));
  write(line(moved + 90, { took: "0.020" }));
  expect((await read(from - 1000)).runs).toEqual({ [v1]: 2, none: 1, [v2]: 1 });
});

test("an agent that was killed while the traffic moved knows both runs, until it is told where it went", async () => {
  const first = counting();
  await first.requests.start();
  await first.lead(v1);
  await after(100);
  await first.requests.moving("shop", led(v2));
  const next = counting(first.data, first.clock);
  await next.requests.start();
  await after(50);
  next.write(line(next.clock.now()));
  expect((await next.read()).runs).toEqual({ none: 1 });
  await next.lead(v2);
  await after(50);
  next.write(line(next.clock.now()));
  expect((await next.read()).runs).toEqual({ none: 1, [v2]: 1 });
});

test("an agent that was away for long has a gap from when nginx stopped", async () => {
  const first = counting();
  await first.requests.start();
  await first.lead(v1);
  first.write(line(first.clock.now()));
  await first.read();
  await first.requests.close();
  const clock = setClock();
  clock.off = 1000_000;
  const next = counting(first.data, clock);
  await next.requests.start();
  expect((await next.read(Date.now() - 5000)).gap).toBe("no agent was there to read the lines");
  expect((await next.read(clock.now())).gap).toBe(undefined);
});

test("what is no saved count, and a place where nothing can be saved, cost the counts and nothing else", async () => {
  const first = counting();
  mkdirSync(first.places.counts, { recursive: true });
  writeFileSync(join(first.places.counts, "shop.json"), '{"at":1,"files":"none"}');
  mkdirSync(join(first.places.counts, "shop.json.tmp"));
  await first.requests.start();
  await first.lead(v1);
  await after(50);
  first.write(line(first.clock.now()));
  expect((await first.read()).runs).toEqual({ [v1]: 1 });
  expect(first.trouble.length).toBeGreaterThan(0);
  expect(readFileSync(join(first.places.counts, "shop.json"), "utf8")).toContain("none");
});

test("a file of lines that the agent may not read is a gap", async () => {
  const { requests, write, read, file, clock } = counting();
  write("");
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  chmodSync(file, 0o700);
  await requests.start();
  const from = clock.now();
  expect((await read(from)).gap).toBe("the file of lines could not be read");
});

test("a line without an end is not taken for a request, however long it is", async () => {
  const { requests, write, lead, read, clock } = counting();
  await requests.start();
  await lead(v1);
  await after(50);
  const from = clock.now();
  write("x".repeat(300_000));
  await read(from);
  write(`\n${line(clock.now())}`);
  const { runs, gap } = await read(from);
  expect([runs, gap]).toEqual([{ [v1]: 1 }, "lines came that nginx did not write, or not to their end"]);
});
