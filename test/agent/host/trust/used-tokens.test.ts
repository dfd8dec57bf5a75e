import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UsedTokensFile, type UsedTokensOptions } from "../../../../agent/host/trust/used-tokens.ts";

let directory: string;
let file: string;
const open: UsedTokensFile[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cutover-spent-"));
  file = join(directory, "agent/spent-tokens");
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await rm(directory, { recursive: true });
});

async function openFile(options?: UsedTokensOptions): Promise<UsedTokensFile> {
  const tokens = await UsedTokensFile.open(file, options);
  open.push(tokens);
  return tokens;
}

const soon = () => Date.now() + 60_000;
const lines = async () => (await readFile(file, "utf8")).split("\n").length - 1;

test("an id is spent once, and is on disk when that is said", async () => {
  const tokens = await openFile();
  expect(await tokens.spend("a", soon())).toBe("recorded");
  expect(await lines()).toBe(1);
  expect(await tokens.spend("a", soon())).toBe("spent");
  expect(await tokens.spend("b", soon())).toBe("recorded");
});

test("of many calls at once with one token, one is the first", async () => {
  const tokens = await openFile();
  const results = await Promise.all(Array.from({ length: 20 }, () => tokens.spend("a", soon())));
  expect(results.filter((result) => result === "recorded")).toHaveLength(1);
});

test("an id stays spent when the agent is killed and starts again", async () => {
  await (await openFile()).spend("a", soon());
  const again = await openFile();
  expect(await again.spend("a", soon())).toBe("spent");
});

test("a line that a power cut tore does not take the next one with it", async () => {
  await (await openFile()).spend("a", soon());
  await appendFile(file, `${soon()} torn`);
  const again = await openFile();
  await again.spend("b", soon());
  const third = await openFile();
  expect([await third.spend("a", soon()), await third.spend("b", soon())]).toEqual(["spent", "spent"]);
});

test("a file that cannot be written lets the agent start, keeps what is spent, and refuses what it cannot write down", async () => {
  const now = 1_000_000;
  await (await openFile({ now: () => now })).spend("a", now + 1000);
  await mkdir(`${file}.new`);
  const tokens = await openFile({ now: () => now });
  expect(await tokens.spend("a", now + 1000)).toBe("spent");
  await expect(tokens.spend("b", now + 1000)).rejects.toMatchObject({ code: "internal" });
  await rmdir(`${file}.new`);
  expect(await tokens.spend("c", now + 1000)).toBe("recorded");
});

test("an id with newlines in it is one line", async () => {
  const tokens = await openFile();
  await tokens.spend(`x\n${soon()} ${"A".repeat(43)}`, soon());
  expect(await lines()).toBe(1);
});

const day = 24 * 60 * 60_000;

test("a clock that jumps an hour ahead and is set back brings no spent token back", async () => {
  const begun = Date.now();
  let now = begun;
  const tokens = await openFile({ now: () => now });
  expect(await tokens.spend("a", begun + 600_000)).toBe("recorded");
  now += 3_600_000;
  for (let index = 0; index < 250; index++) await tokens.spend(`b${index}`, now + 1000);
  const restarted = await openFile({ now: () => now });
  now = begun;
  expect(await restarted.spend("a", begun + 600_000)).toBe("spent");
  expect(await restarted.spend("c", begun + 600_000)).toBe("recorded");
});

test("expired ids are dropped at the start, and now and then", async () => {
  let now = 1_000_000;
  const tokens = await openFile({ now: () => now });
  await Promise.all(Array.from({ length: 300 }, (_, index) => tokens.spend(`a${index}`, now + 1000)));
  expect(await lines()).toBe(300);
  now += day + 5000;
  for (let index = 0; index < 150; index++) await tokens.spend(`b${index}`, now + 1000);
  expect(await lines()).toBeLessThan(300);
  now += day + 5000;
  await openFile({ now: () => now });
  // The mark up to which tokens are forgotten.
  expect(await lines()).toBe(1);
  expect(await readdir(join(directory, "agent"))).toEqual(["spent-tokens"]);
});

test("there is a bound, and expired ids make room", async () => {
  let now = 1_000_000;
  const tokens = await openFile({ now: () => now, limits: { pool: 2 } });
  await tokens.spend("a", now + 1000);
  await tokens.spend("b", now + 1000);
  await expect(tokens.spend("c", now + 1000)).rejects.toMatchObject({ code: "internal" });
  now += 5000;
  expect(await tokens.spend("c", now + 1000)).toBe("recorded");
});

describe("a clock that is set back opens nothing", () => {
  let now: number;
  beforeEach(() => {
    now = 1_000_000;
  });

  /** Spends `a`, and lets it expire and be forgotten. */
  async function forgotten(pool = 1): Promise<UsedTokensFile> {
    const tokens = await openFile({ now: () => now, limits: { pool } });
    expect(await tokens.spend("a", now + 1000)).toBe("recorded");
    now += 5000;
    expect(await tokens.spend("b", now + 1000)).toBe("recorded");
    return tokens;
  }

  test("for a token that was forgotten because it had expired", async () => {
    const tokens = await forgotten();
    now -= 5000;
    expect(await tokens.spend("a", now + 1000)).toBe("clock_behind");
  });

  test("nor after a restart that forgot it", async () => {
    await (await openFile({ now: () => now })).spend("a", now + 1000);
    now += day + 5000;
    await openFile({ now: () => now });
    now -= day + 5000;
    expect(await (await openFile({ now: () => now })).spend("a", now + 1000)).toBe("clock_behind");
  });

  test("and a token that was forgotten in memory alone is still in the file when the agent is killed", async () => {
    await forgotten();
    const left = await readFile(file, "utf8");
    expect(left.split("\n").filter((line) => line !== "")).toHaveLength(2);
    now -= 5000;
    const again = await openFile({ now: () => now });
    expect(await again.spend("a", now + 1000)).toBe("spent");
  });

  test("a new token is good all the same, once it outlives those that are forgotten", async () => {
    const tokens = await forgotten(1);
    now -= 1500;
    const again = await openFile({ now: () => now });
    await tokens.close();
    expect(await again.spend("c", now + 300_000)).toBe("recorded");
  });
});

test("an id that was spent by an agent that was then killed with SIGKILL stays spent", async () => {
  const child = spawn(process.execPath, ["test/fakes/spender.ts", file, "a", String(soon())], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [said] = await once(child.stdout, "data");
    expect(String(said)).toBe("recorded\n");
  } finally {
    child.kill("SIGKILL");
    await once(child, "close");
  }
  expect(await (await openFile()).spend("a", soon())).toBe("spent");
});
