import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { addPrograms } from "../../../../agent/host/supervisor/program-group.ts";
import { groupName } from "../../../../agent/host/supervisor/programs-file.ts";
import { revive } from "../../../../agent/host/supervisor/revive.ts";
import { Supervisor } from "../../../../agent/host/supervisor/supervisor.ts";
import { eventually, release, scratch } from "../scratch.ts";

const group = groupName("shop", release);

/** A real supervisord with these programs of a live run, in groups by name. */
async function supervised(groups: Record<string, Record<string, string>>) {
  const dir = scratch();
  const [socket, confDir] = [join(dir, "s"), join(dir, "conf.d")];
  mkdirSync(confDir);
  const conf = `[unix_http_server]
file=${socket}
[supervisord]
logfile=${dir}/log
pidfile=${dir}/pid
childlogdir=${dir}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files=${confDir}/*.conf
`;
  writeFileSync(join(dir, "conf"), conf);
  const supervisord = spawn("supervisord", ["-n", "-s", "-c", join(dir, "conf")], { stdio: "ignore" });
  const ended = once(supervisord, "exit");
  onTestFinished(async () => {
    supervisord.kill();
    await ended;
  });
  const supervisor = new Supervisor({ socket, confDir });
  await eventually(async () => (await supervisor.pid().catch(() => 0)) === supervisord.pid);
  for (const [name, programs] of Object.entries(groups)) {
    const sections = Object.entries(programs).map(
      ([program, lines]) => `[program:${name}-${program}]\nprocess_name=${program}\nstdout_logfile=NONE\n${lines}\n`,
    );
    const members = Object.keys(programs).map((program) => `${name}-${program}`);
    const [, process] = name.split("+");
    const part = { app: "shop", run: release, ...(process !== undefined && { process }), confDir, supervisor };
    await addPrograms(part, `[group:${name}]\nprograms=${members.join(",")}\n${sections.join("")}`);
  }
  const state = async (program: string) =>
    (await supervisor.getAllProcessInfo()).find(({ name }) => name === program)?.statename;
  return {
    dir,
    supervisor,
    state,
    revive: (stopped: boolean) => revive({ app: "shop", run: release, supervisor }, stopped),
  };
}

test("H2 what supervisord gave up on is started again, of the live run and its processes, and what is well is left alone", async () => {
  const flag = join(scratch(), "database");
  // As the last release of cutover wrote its programs: with supervisord's own startretries.
  const late = `command=sh -c 'test -e ${flag} && exec sleep 600'\nstartretries=0\nstartsecs=1`;
  const host = await supervised({
    [group]: { "web-0": late, "web-1": "command=sleep 600\nstartsecs=0" },
    [`${group}+worker`]: { "worker-0": late },
  });
  await eventually(async () => (await host.state("web-0")) === "FATAL" && (await host.state("worker-0")) === "FATAL");
  const before = await host.revive(true);
  expect(before?.map(({ name, state }) => [name, state])).toEqual(
    expect.arrayContaining([
      ["web-0", "FATAL"],
      ["web-1", "RUNNING"],
      ["worker-0", "FATAL"],
    ]),
  );
  const pid = before?.find(({ name }) => name === "web-1")?.pid;
  writeFileSync(flag, "");
  await eventually(async () => {
    await host.revive(true);
    return (await host.state("web-0")) === "RUNNING" && (await host.state("worker-0")) === "RUNNING";
  });
  expect((await host.revive(true))?.find(({ name }) => name === "web-1")?.pid).toBe(pid);
  rmSync(flag);
});

test("what somebody has stopped is started again only if the caller says so, and not in the first seconds", async () => {
  const host = await supervised({ [group]: { "web-0": "command=sleep 600\nstartsecs=0" } });
  await eventually(async () => (await host.state("web-0")) === "RUNNING");
  await host.supervisor.stopProcess(group, "web-0");
  await eventually(async () => (await host.state("web-0")) === "STOPPED");
  await host.revive(true);
  expect(await host.state("web-0")).toBe("STOPPED");
  await eventually(async () => {
    await host.revive(false);
    const [info] = await host.supervisor.getAllProcessInfo();
    return info !== undefined && info.now - info.stop >= 6;
  });
  expect(await host.state("web-0")).toBe("STOPPED");
  await host.revive(true);
  await eventually(async () => (await host.state("web-0")) === "RUNNING");
});

test("a run that supervisord does not have is not invented", async () => {
  const host = await supervised({});
  expect(await host.revive(true)).toBeUndefined();
});
