import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../../agent/host/clock.ts";
import { addPrograms, dropPrograms } from "../../../../agent/host/supervisor/program-group.ts";
import { groupName } from "../../../../agent/host/supervisor/programs-file.ts";
import { Supervisor } from "../../../../agent/host/supervisor/supervisor.ts";
import { eventually, release, scratch } from "../scratch.ts";

/** A supervisord that takes long between fork and exec, because it closes many files there. */
async function slowSupervisord(dir: string): Promise<{ supervisor: Supervisor; confDir: string; log: string }> {
  const [socket, confDir, log] = [join(dir, "s"), join(dir, "conf.d"), join(dir, "log")];
  mkdirSync(confDir);
  const conf = [
    ["[unix_http_server]", `file=${socket}`],
    ["[supervisord]", `logfile=${log}`, `pidfile=${dir}/pid`, `childlogdir=${dir}`, "minfds=20000"],
    ["[rpcinterface:supervisor]", "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface"],
    ["[include]", `files=${confDir}/*.conf`],
  ];
  writeFileSync(join(dir, "conf"), conf.map((lines) => `${lines.join("\n")}\n`).join(""));
  const supervisord = spawn("supervisord", ["-n", "-s", "-c", join(dir, "conf")], { stdio: "ignore" });
  const ended = once(supervisord, "exit");
  onTestFinished(async () => {
    supervisord.kill();
    await ended;
  });
  const supervisor = new Supervisor({ socket, confDir });
  await eventually(async () => (await supervisor.pid().catch(() => 0)) === supervisord.pid);
  return { supervisor, confDir, log };
}

test("a program that is stopped while supervisord starts it ends by the stop signal, not by the kill", async () => {
  const { supervisor, confDir, log } = await slowSupervisord(scratch());
  const programs = { app: "shop", run: release, confDir, supervisor };
  const group = groupName("shop", release);
  const program = ["command=/bin/sleep 600", "stopwaitsecs=1", "stdout_logfile=NONE", "redirect_stderr=true"];
  await addPrograms(programs, `[group:${group}]\nprograms=x\n[program:x]\n${program.join("\n")}\n`);
  await dropPrograms(programs, systemClock);
  expect(readFileSync(log, "utf8")).toContain("stopped: x (terminated by SIGTERM)");
});
