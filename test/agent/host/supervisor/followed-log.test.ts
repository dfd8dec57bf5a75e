import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../../agent/host/supervisor/instance-logs.ts";
import { release, scratch } from "../scratch.ts";

let log: string;
let logs: SupervisorLogs;
let next: string;
beforeEach(() => {
  const data = scratch();
  const directory = appLayout(data, "shop").runLogs(release);
  mkdirSync(directory, { recursive: true });
  log = join(directory, "web-0.log");
  logs = new SupervisorLogs(data, scratch());
  next = "";
});

/** The lines that the next look brings. */
async function look(lines = 100): Promise<string[]> {
  const { logs: found, next: place } = await logs.follow("shop", release, lines, next);
  next = place ?? "";
  return found.flatMap(({ text }) => (text === "" ? [] : text.split("\n")));
}

/** As supervisor's own handler does it. */
function rotate(): void {
  rmSync(`${log}.3`, { force: true });
  for (const [from, to] of [
    [".2", ".3"],
    [".1", ".2"],
    ["", ".1"],
  ] as const) {
    if (existsSync(`${log}${from}`)) renameSync(`${log}${from}`, `${log}${to}`);
  }
  writeFileSync(log, "");
}

test("each line comes once and whole: equal ones, and one that is written in two parts", async () => {
  writeFileSync(log, "1\n2\n3\nhal");
  expect(await look(2)).toEqual(["2", "3"]);
  expect(await look()).toEqual([]);
  appendFileSync(log, "f ü\n3\n3\n");
  expect(await look()).toEqual(["half ü", "3", "3"]);
  expect(await look()).toEqual([]);
});

test("nothing is lost or comes twice over logs that supervisor renames, also in the middle of a line", async () => {
  writeFileSync(log, "1\n");
  expect(await look()).toEqual(["1"]);
  appendFileSync(log, "2\nth");
  rotate();
  appendFileSync(log, "ree\n4\n");
  expect(await look()).toEqual(["2", "three", "4"]);
  rotate();
  rotate();
  expect(await look()).toEqual([]);
  appendFileSync(log, "5\n");
  expect(await look()).toEqual(["5"]);
});

test("60,000 lines between two looks all come, in several answers, over two rotations", async () => {
  writeFileSync(log, "");
  expect(await look()).toEqual([]);
  const all = Array.from({ length: 60_000 }, (_, index) => `line ${index}`);
  for (let at = 0; at < all.length; at += 20_000) {
    appendFileSync(log, `${all.slice(at, at + 20_000).join("\n")}\n`);
    if (at < 40_000) rotate();
  }
  const found: string[] = [];
  for (let lines = await look(); lines.length > 0; lines = await look()) found.push(...lines);
  expect(found).toEqual(all);
});

test("a line longer than an answer, a log that was emptied in place, an instance that is new, and another run", async () => {
  writeFileSync(log, "1\n");
  expect(await look()).toEqual(["1"]);
  appendFileSync(log, `${"x".repeat(100_000)}\n`);
  expect([...(await look()), ...(await look())].join("")).toBe("x".repeat(100_000));
  truncateSync(log, 0);
  appendFileSync(log, "2\n");
  expect(await look()).toEqual(["2"]);
  writeFileSync(log.replace("web-0", "worker-0"), "3\n");
  expect(await look()).toEqual(["3"]);
  next = next.replace(release, `${release}.2`);
  expect(await look()).toEqual(["2", "3"]);
});

test("a place that no answer gave is refused", async () => {
  writeFileSync(log, "1\n");
  next = `${release},web-0:x:1`;
  await expect(look()).rejects.toMatchObject({ code: "request_invalid" });
});
