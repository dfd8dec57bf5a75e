import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { supervisorFacts } from "../../../agent/doctor/facts/supervisor.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { scratch } from "../../agent/host/scratch.ts";

test("a process of any user that calls itself supervisord, with a pipe as its configuration, does not stop the doctor", async () => {
  const dir = scratch();
  const pipe = join(dir, "pipe");
  execFileSync("mkfifo", [pipe]);
  // It waits for its program on standard input.
  const liar = spawn("/usr/bin/python3", ["-", "-c", pipe], { argv0: "supervisord" });
  onTestFinished(() => void liar.kill("SIGKILL"));
  await expect.poll(() => liar.pid).toBeGreaterThan(0);
  const supervisor = { socket: join(dir, "none.sock"), conf_dir: dir };
  const settings = agentSettingsSchema.parse({ data: dir, supervisor });
  const { daemons } = await supervisorFacts(settings);
  expect(daemons.find(({ pid }) => pid === liar.pid)).toMatchObject({ conf: pipe, includes: false });
});
