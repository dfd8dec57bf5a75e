import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { supervisorFacts } from "../../../agent/doctor/facts/supervisor.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { scratch } from "../../agent/host/scratch.ts";

async function daemonsWith(conf: string, dir: string) {
  // It waits for its program on standard input.
  const liar = spawn("/usr/bin/python3", ["-", "-c", conf], { argv0: "supervisord" });
  onTestFinished(() => void liar.kill("SIGKILL"));
  await expect.poll(() => liar.pid).toBeGreaterThan(0);
  const supervisor = { socket: join(dir, "none.sock"), conf_dir: dir };
  const { daemons } = await supervisorFacts(agentSettingsSchema.parse({ data: dir, supervisor }));
  return daemons.find(({ pid }) => pid === liar.pid);
}

test("a process of any user that calls itself supervisord, with a pipe as its configuration, does not stop the doctor", async () => {
  const dir = scratch();
  const pipe = join(dir, "pipe");
  execFileSync("mkfifo", [pipe]);
  expect(await daemonsWith(pipe, dir)).toMatchObject({ conf: pipe, includes: false });
});

test("a process of any user that calls itself supervisord lets root open no device, and nothing else but a file", async () => {
  const dir = scratch();
  const pipe = join(dir, "pipe");
  execFileSync("mkfifo", [pipe]);
  // A writer waits until somebody opens the pipe: so it tells, as a watchdog of the host would.
  let isOpened = false;
  const writer = open(pipe, "w").then((file) => {
    isOpened = true;
    return file.close();
  });
  await daemonsWith(pipe, dir);
  expect(isOpened).toBe(false);
  await (await open(pipe, "r")).close();
  await writer;
});

test.each([
  ["many stars", (dir: string) => `[include]\nfiles = ${dir}/${"*".repeat(40)}x\n`],
  ["a long line of spaces", () => `[include]\nfiles${" ".repeat(4_000_000)}x\n`],
  ["millions of lines", () => `[include]\nfiles = a\n${" a\n".repeat(1_300_000)}`],
])("a configuration with %s of such a process takes the doctor no time", async (_, text) => {
  const dir = scratch();
  const conf = join(dir, "conf");
  writeFileSync(conf, text(dir));
  const began = performance.now();
  expect(await daemonsWith(conf, dir)).toMatchObject({ includes: false });
  expect(performance.now() - began).toBeLessThan(5000);
});
