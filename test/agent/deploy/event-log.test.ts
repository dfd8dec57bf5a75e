import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EventLog, lastWritten } from "../../../agent/deploy/event-log.ts";
import { EventFilesOnDisk } from "../../../agent/host/store/event-files.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import type { DeploymentEvent } from "../../../shared/protocol.ts";

const at = "2026-11-21T10:30:00.000Z";
const id = "a-deployment";
let data: string;
let files: EventFilesOnDisk;
let log: EventLog;

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), "cutover-events-"));
  mkdirSync(appLayout(data, "shop").home, { recursive: true });
  files = new EventFilesOnDisk(data);
  log = new EventLog({ files, app: "shop", deployment: id, last: 0 });
});
afterEach(() => rmSync(data, { recursive: true }));

const say = (line: string) => log.append({ type: "output", at, source: "pip", line });
const end = () =>
  log.append({
    type: "end",
    at,
    deployment: {
      ...{ id, app: "shop", kind: "deploy", state: "done", outcome: "succeeded", started: at, phases: [] },
      by: { subject: "a test" },
    },
  });
const never = new AbortController().signal;

async function all(after = 0, signal = never): Promise<number[]> {
  const ids: number[] = [];
  for await (const event of log.follow(after, signal)) ids.push(event.id);
  return ids;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

test("a follower gets each event once and in order, whether it comes early, late or in between", async () => {
  const early = all();
  for (let n = 0; n < 500; n++) say("x".repeat(1000));
  const between = all(250);
  await new Promise((resolve) => setImmediate(resolve));
  for (let n = 0; n < 500; n++) say("x".repeat(1000));
  end();
  expect(await early).toEqual(numbers(1, 1001));
  expect(await between).toEqual(numbers(251, 1001));
  expect(await all(3)).toEqual(numbers(4, 1001));
  log.forget();
  expect(await all()).toEqual(numbers(1, 1001));
  expect(await all(1001)).toEqual([]);
});

test("a follower who reads slowly gets what came meanwhile from the file", async () => {
  const seen: number[] = [];
  say("first");
  for await (const event of log.follow(0, never)) {
    seen.push(event.id);
    if (seen.length % 100 === 1 && event.id < 900) for (let n = 0; n < 100; n++) say("x".repeat(2000));
    if (event.id === 901) end();
  }
  expect(seen).toEqual(numbers(1, seen.length));
});

test("on a full disk followers get the events as they happen, and the last one in any case", async () => {
  // The app's directory is gone, so that nothing can be written.
  rmSync(appLayout(data, "shop").home, { recursive: true });
  const seen: DeploymentEvent[] = [];
  const following = (async () => {
    for await (const event of log.follow(0, never)) seen.push(event);
  })();
  for (let n = 0; n < 300; n++) {
    say("x".repeat(1000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  end();
  await following;
  expect(seen.map((event) => event.id)).toEqual(numbers(1, 301));
  const late = await all();
  expect(late.at(-1)).toBe(301);
  expect(late.length).toBeLessThan(100);
  log.forget();
  expect(await all()).toEqual([301]);
});

test("events that a full disk cut off are missing only from the file", async () => {
  say("written");
  const { home } = appLayout(data, "shop");
  rmSync(home, { recursive: true });
  say("not written");
  mkdirSync(home, { recursive: true });
  say("written again");
  end();
  expect(await all()).toEqual([1, 2, 3, 4]);
});

test("the events of a deployment that says megabytes are not kept in memory", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  for (let n = 0; n < 20_000; n++) say(`${n}`.padEnd(1000, "x"));
  expect(heap() - before).toBeLessThan(4 * 1024 ** 2);
  expect(statSync(join(appLayout(data, "shop").deployments, `${id}.ndjson`)).size).toBeGreaterThan(20e6);
});

test("it is settled at its last event, or at the signal; what comes after that opens it again", async () => {
  const stop = new AbortController();
  const waiting = log.settled(stop.signal);
  stop.abort();
  await waiting;
  end();
  await log.settled(never);
  say("it is aborted after all");
  const again = log.settled(never);
  const following = all(1);
  end();
  await again;
  expect(await following).toEqual([2, 3]);
});

test("numbers go on after a restart, behind what a power cut tore", async () => {
  for (let n = 0; n < 3; n++) say("line");
  const file = join(appLayout(data, "shop").deployments, `${id}.ndjson`);
  const text = readFileSync(file, "utf8");
  expect(await lastWritten(files, "shop", id)).toBe(3);
  writeFileSync(file, text.slice(0, -5));
  expect(await lastWritten(files, "shop", id)).toBe(2);
  expect(await lastWritten(files, "shop", "another")).toBe(0);
  log = new EventLog({ files, app: "shop", deployment: id, last: 2 });
  writeFileSync(file, `${text.split("\n").slice(0, 2).join("\n")}\n`);
  say("after the restart");
  end();
  expect(await all()).toEqual([1, 2, 3, 4]);
});

test("what is no file of events, and a line without an end, are no events", async () => {
  const { deployments } = appLayout(data, "shop");
  mkdirSync(deployments, { recursive: true });
  writeFileSync(join(deployments, "long.ndjson"), "x".repeat(3_000_000));
  mkdirSync(join(deployments, "directory.ndjson"));
  for (const name of ["long", "directory", "none"]) expect(await lastWritten(files, "shop", name)).toBe(0);
  expect(existsSync(join(deployments, "none.ndjson"))).toBe(false);
});
