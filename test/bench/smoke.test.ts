import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { node, repository, systemPath } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";
import { parts } from "./parts.ts";

/** What a part's figures must say of the tiny run; the times in them say nothing. */
const expected: Record<keyof typeof parts, object> = {
  deploy: {
    rounds: [{ total: expect.any(Number), boot: expect.any(Number) }],
    disk: { releases: 2, alone: expect.any(Number) },
  },
  files: { sizes: [{ files: 30, unpack: expect.any(Number) }, { files: 100 }] },
  load: { deploys: 1, failed: 0, cut: 0, versions: 2 },
  quiet: { deploys: 1, quiet: { failed: 0 }, loud: { failed: 0 } },
  gray: {
    steps: [
      { balance: "round_robin", weight: 50 },
      { balance: "ip_hash", weight: 50 },
    ],
    failed: 0,
    reloads: 0,
  },
  requests: { counted: { requests: 200 }, total: 200 },
  unpack: { rounds: [{ agent: expect.any(Number) }], ratio: expect.any(Number) },
  page: {
    alone: { failed: 0 },
    watched: { failed: 0, watchers: 3, parts: expect.any(Number) },
    read: { failed: 0, pages: expect.any(Number), refused: 0 },
  },
  peers: {
    tools: [
      { tool: "rsync, then restart" },
      { tool: "Capistrano, then restart" },
      { tool: "two groups and nginx's reload", failed: 0 },
      { tool: "cutover", failed: 0 },
    ],
  },
  worker: { deploys: 1, refused: 0, lost: 0, cut: 0, beatsTogether: 0 },
};

/** A part may set up four hosts, one after the other, also on a busy machine. */
const patient = { timeout: 300_000 };

it.for(Object.keys(parts))("npm run bench -- %s works, as seen with tiny sizes", patient, async (name) => {
  await using scratch = new Scratch("bench");
  const results = join(scratch.path, "results.json");
  const picture = join(scratch.path, "picture.svg");
  const files = ["--results", results, "--picture", picture];
  const { code, stdout, stderr } = await runProgram(
    [node, join(repository, "test/bench/main.ts"), name, "--tiny", "--markdown", ...files],
    { cwd: repository, env: { PATH: systemPath, HOME: scratch.path } },
  );
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain("| --- | ---: |");
  expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
  const figures = JSON.parse(readFileSync(results, "utf8"));
  expect(figures.machine).toMatchObject({ node: process.versions.node });
  expect(figures[name]).toMatchObject(expected[name] ?? {});
  expect(existsSync(picture)).toBe(name === "peers");
});

it("npm run bench says which parts there are", async () => {
  const { code, stderr } = await runProgram([node, join(repository, "test/bench/main.ts"), "speed"], {
    env: { PATH: systemPath },
  });
  expect(code).toBe(2);
  expect(stderr).toContain(`no part speed. Usage: npm run bench -- [${Object.keys(parts).join("] [")}]`);
});
