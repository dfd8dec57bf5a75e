import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { DiskTurns } from "../../../../agent/host/store/disk-turns.ts";
import {
  listSafely,
  readPart,
  readSafely,
  readSafelyIfExists,
  safeRead,
} from "../../../../agent/host/store/safe-read.ts";
import { scratch } from "../scratch.ts";

const root = process.geteuid?.() === 0;
const limit = 1024;
let home: string;

beforeEach(() => {
  home = scratch();
  mkdirSync(join(home, "releases/a"), { recursive: true });
});

const place = () => join(home, "releases/a/config.json");

/** All ways to read a file: they must agree. */
const ways: [name: string, read: (path: string) => Promise<string>][] = [
  ["readSafely", async (path) => (await readSafely(home, path, limit)).toString()],
  ["readPart", async (path) => (await readPart(home, path, { from: -limit, bytes: limit })).part.toString()],
  ["safeRead", async (path) => safeRead(home, path, limit).toString()],
];

/** What may be in a file's place, each by what puts it there. */
const hostile: [what: string, put: () => void][] = [
  ["a pipe", () => void execFileSync("mkfifo", [place()])],
  ["a link to a file", () => symlinkSync("other.json", place())],
  ["a link to a device without end", () => symlinkSync("/dev/zero", place())],
  ["a link to itself", () => symlinkSync("config.json", place())],
  ["a directory", () => mkdirSync(place())],
];

describe.each(ways)("%s", (_, read) => {
  test("reads a regular file, by a relative or by a whole path", async () => {
    writeFileSync(place(), "own");
    expect(await read("releases/a/config.json")).toBe("own");
    expect(await read(place())).toBe("own");
  });

  test.each(hostile)("does not read %s, and does not wait for it", async (_what, put) => {
    writeFileSync(join(home, "releases/a/other.json"), "other");
    put();
    await expect(read(place())).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining("config.json"),
    });
  });

  test("does not wait for a pipe that somebody feeds, nor for a socket", async () => {
    execFileSync("mkfifo", [place()]);
    const feeder = spawn("sh", ["-c", `exec 3<>"$0"; printf '{"app":' >&3; exec sleep 60`, place()]);
    onTestFinished(async () => {
      const gone = once(feeder, "exit");
      feeder.kill("SIGKILL");
      await gone;
    });
    await expect(read(place())).rejects.toMatchObject({ code: "internal" });
    const server = createServer().listen(join(home, "s"));
    await once(server, "listening");
    onTestFinished(() => void server.close());
    await expect(read("s")).rejects.toMatchObject({ code: "internal" });
  });

  test("goes through no link on the way, and not out of its root", async () => {
    writeFileSync(place(), "own");
    renameSync(join(home, "releases/a"), join(home, "releases/b"));
    symlinkSync("b", join(home, "releases/a"));
    await expect(read("releases/a/config.json")).rejects.toMatchObject({ code: "ENOTDIR" });
    for (const path of ["../etc/passwd", "releases/../releases/b/config.json", "/etc/passwd", ""]) {
      await expect(read(path)).rejects.toMatchObject({ code: "internal" });
    }
  });

  test("says as the system does that a file is missing", async () => {
    await expect(read(place())).rejects.toMatchObject({ code: "ENOENT" });
    await expect(read("no/such/file")).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("reads a file with several names only where nobody else can have made them", async () => {
    writeFileSync(place(), "own");
    linkSync(place(), join(home, "second"));
    expect(await read(place())).toBe("own");
    chmodSync(join(home, "releases/a"), 0o775);
    await expect(read(place())).rejects.toMatchObject({ code: "internal" });
    chmodSync(join(home, "releases/a"), 0o755);
    if (!root) return;
    chownSync(join(home, "releases/a"), 65534, 65534);
    await expect(read(place())).rejects.toMatchObject({ code: "internal" });
  });
});

test("a file beyond the limit is refused before a byte of it is read", async () => {
  writeFileSync(place(), "x".repeat(limit));
  expect(await readSafely(home, place(), limit)).toHaveLength(limit);
  truncateSync(place(), 2 ** 40);
  await expect(readSafely(home, place(), limit)).rejects.toMatchObject({ code: "internal" });
  expect(() => safeRead(home, place(), limit)).toThrow("too large");
});

test("a part of a file of any size, from its beginning and from its end", async () => {
  writeFileSync(place(), "0123456789");
  const part = async (from: number, bytes: number) => {
    const read = await readPart(home, place(), { from, bytes });
    return [read.part.toString(), read.size];
  };
  expect(await part(0, 3)).toEqual(["012", 10]);
  expect(await part(8, 100)).toEqual(["89", 10]);
  expect(await part(-3, 2)).toEqual(["78", 10]);
  expect(await part(-100, 100)).toEqual(["0123456789", 10]);
  expect(await part(50, 10)).toEqual(["", 10]);
});

test("what is missing is undefined, or an empty list", async () => {
  expect(await readSafelyIfExists(home, place(), limit)).toBeUndefined();
  expect(await listSafely(home, "nothing")).toEqual([]);
  expect(await listSafely(home, "releases")).toEqual(["a"]);
  symlinkSync("releases", join(home, "link"));
  await expect(listSafely(home, "link")).rejects.toMatchObject({ code: "ENOTDIR" });
});

test("nothing stays open, whatever was in the way", async () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  for (const [, put] of hostile) {
    put();
    for (const [, read] of ways) await read(place()).catch(() => undefined);
    execFileSync("rm", ["-rf", place()]);
  }
  expect(open()).toBe(before);
});

describe("turns at the disk", () => {
  const never = () => new Promise<never>(() => undefined);

  test("work that hangs keeps its turn, and nobody waits longer than the time", async () => {
    const turns = new DiskTurns(2);
    const begun = performance.now();
    const hanging = [1, 2, 3, 4].map((n) => turns.run(`file ${n}`, 50, never));
    for (const result of await Promise.allSettled(hanging)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "internal" } });
    }
    expect(performance.now() - begun).toBeLessThan(5000);
    let ran = false;
    const work = async () => {
      ran = true;
    };
    await expect(turns.run("another", 20, work)).rejects.toThrow("another could not be read within 0.02 seconds");
    expect(ran).toBe(false);
  });

  test("work that ends late gives its turn to the next", async () => {
    const turns = new DiskTurns(1);
    const slow = Promise.withResolvers<string>();
    await expect(turns.run("slow", 20, () => slow.promise)).rejects.toThrow("slow");
    const next = turns.run("next", 10_000, async () => "done");
    slow.resolve("late");
    expect(await next).toBe("done");
    await expect(turns.run("failing", 1000, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await turns.run("after", 1000, async () => "done")).toBe("done");
  });
});
