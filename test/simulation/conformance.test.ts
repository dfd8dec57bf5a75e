import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Supervisor } from "../../agent/host/supervisor/supervisor.ts";
import { eventually, scratch } from "../agent/host/scratch.ts";
import type { ReleaseFault } from "./bundle.ts";
import { Chances } from "./random.ts";
import { type ProgramsFile, Supervisord } from "./supervisord.ts";
import { Timeline } from "./timeline.ts";

/** The same short histories on the simulated supervisord and on a real one: what is seen must be the same. */
interface Supervised {
  write(group: string, kind: Kind): void;
  unlink(group: string): void;
  /** Somebody else's file that cannot be read, or its end. */
  break(broken: boolean): void;
  reload(): Promise<void>;
  add(group: string): Promise<boolean>;
  start(group: string): Promise<void>;
  stop(group: string): Promise<boolean>;
  remove(group: string): Promise<string>;
  /** The state of the group's program, and a number that is another after a restart; undefined if the group is not known. */
  look(group: string): Promise<{ state: string; pid: number } | undefined>;
  kill(group: string): Promise<void>;
  wait(ms: number): Promise<void>;
}

type Kind = "well" | "exits" | "exits-later" | "stays";

const laterMs = 2500;
const stopMs = 2000;

function simulated(): Supervised {
  const chances = new Chances(1);
  const timeline = new Timeline(chances.of("timeline"));
  let pid = 100;
  const supervisord = new Supervisord({
    timeline,
    chances,
    newPid: () => ++pid,
    behaviourOf: ({ behaviour }) => behaviour,
    isNew: () => true,
  });
  const faults: Record<Kind, ReleaseFault> = { well: "", exits: "exits", "exits-later": "exits-later", stays: "" };
  return {
    write: (group, kind) => {
      const stops = kind === "stays" ? "never" : "at once";
      const behaviour = { fault: faults[kind], laterMs, bootMs: 50, stops } as const;
      const file: ProgramsFile = {
        app: "shop",
        run: "r",
        process: undefined,
        names: ["x"],
        addresses: ["a"],
        stopMs,
        behaviour,
      };
      supervisord.files.set(group, file);
    },
    unlink: (group) => void supervisord.files.delete(group),
    break: (broken) => {
      supervisord.brokenFile = broken;
    },
    reload: async () => supervisord.reloadConfig(),
    add: async (group) => supervisord.addProcessGroup(group),
    start: async (group) => supervisord.startProcessGroup(group),
    stop: async (group) => supervisord.stopProcessGroup(group),
    remove: async (group) => supervisord.removeProcessGroup(group),
    look: async (group) => {
      const program = supervisord.info(group)?.[0];
      return program && { state: program.state, pid: program.instance?.parts.pid ?? 0 };
    },
    kill: async (group) => supervisord.info(group)?.[0]?.instance?.die("killed"),
    wait: (ms) => timeline.advance(timeline.elapsed + ms),
  };
}

const commands: Record<Kind, string> = {
  well: "/bin/sleep 600",
  exits: "/bin/false",
  "exits-later": `/bin/sh -c "sleep ${laterMs / 1000}; exit 1"`,
  stays: `/bin/sh -c "trap '' TERM; while :; do sleep 1; done"`,
};

async function real(): Promise<Supervised> {
  const dir = scratch();
  const [socket, confDir] = [join(dir, "s"), join(dir, "conf.d")];
  mkdirSync(confDir);
  const conf = [
    ["[unix_http_server]", `file=${socket}`],
    ["[supervisord]", `logfile=${dir}/log`, `pidfile=${dir}/pid`, `childlogdir=${dir}`],
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
  const client = new Supervisor({ socket, confDir });
  await eventually(async () => (await client.pid().catch(() => 0)) === supervisord.pid);
  const infoOf = async (group: string) => (await client.groupInfo(group))?.[0];
  return {
    write: (group, kind) => {
      const head = `[group:${group}]\nprograms=${group}-x\n[program:${group}-x]\nprocess_name=x\n`;
      const rest =
        "startsecs=1\nstartretries=1000000000\nautorestart=true\nstopasgroup=true\nkillasgroup=true\nstdout_logfile=NONE\nredirect_stderr=true\n";
      const text = `${head}command=${commands[kind]}\nstopwaitsecs=${stopMs / 1000}\n${rest}`;
      writeFileSync(join(confDir, `${group}.conf`), text);
    },
    unlink: (group) => rmSync(join(confDir, `${group}.conf`)),
    break: (broken) => {
      if (broken) writeFileSync(join(confDir, "zz.conf"), "no section\n");
      else rmSync(join(confDir, "zz.conf"));
    },
    reload: async () => void (await client.reloadConfig()),
    add: (group) => client.addProcessGroup(group),
    start: (group) => client.startProcessGroup(group),
    stop: (group) => client.stopProcessGroup(group),
    remove: (group) => client.removeProcessGroup(group),
    look: async (group) => {
      const info = await infoOf(group);
      return info && { state: info.statename, pid: info.pid };
    },
    kill: async (group) => void process.kill((await infoOf(group))?.pid ?? 0, "SIGKILL"),
    wait: (ms) => sleep(ms),
  };
}

/** The states that a program goes through within a time, each once in a row, and how many processes it had. */
async function course(host: Supervised, group: string, ms: number): Promise<{ states: string[]; processes: number }> {
  const states: string[] = [];
  const pids = new Set<number>();
  for (let waited = 0; waited < ms; waited += 50) {
    const now = await host.look(group);
    const state = now?.state ?? "none";
    if (states.at(-1) !== state) states.push(state);
    if (now !== undefined && now.pid > 0) pids.add(now.pid);
    await host.wait(50);
  }
  return { states, processes: pids.size };
}

/** Waits for a state of a program. The real supervisord takes its time on a busy machine. @returns the last one seen */
async function until(host: Supervised, group: string, wanted: string): Promise<string | undefined> {
  let state: string | undefined;
  for (let waited = 0; waited < 25_000 && state !== wanted; waited += 50) {
    await host.wait(50);
    state = (await host.look(group))?.state;
  }
  return state;
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (thrown: unknown) => (thrown as { code?: string }).code,
  );

/** What is seen of each history. States that last for less than a turn of the loop may be missed, so they are left out. */
const histories: Record<string, (host: Supervised) => Promise<unknown>> = {
  "a good program starts, stops and goes": async (host) => {
    host.write("g", "well");
    await host.reload();
    const added = [await host.add("g"), await host.add("g")];
    await host.start("g");
    const up = await course(host, "g", 1800);
    const early = await host.remove("g");
    const stopped = await host.stop("g");
    await host.wait(500);
    const end = (await host.look("g"))?.state;
    host.unlink("g");
    await host.reload();
    return { added, up, early, stopped, end, removed: await host.remove("g"), left: await host.look("g") };
  },
  "one that ends at once is tried again, later each time, and never given up": async (host) => {
    host.write("g", "exits");
    await host.reload();
    await host.add("g");
    await host.start("g");
    const { states } = await course(host, "g", 11_000);
    return {
      soon: states.includes("BACKOFF"),
      end: states.includes("FATAL"),
      again: await until(host, "g", "BACKOFF"),
    };
  },
  "one that ends later, or is killed, is started again": async (host) => {
    host.write("g", "exits-later");
    await host.reload();
    await host.add("g");
    await host.start("g");
    const { states, processes } = await course(host, "g", 5000);
    host.write("h", "well");
    await host.reload();
    await host.add("h");
    await host.start("h");
    await host.wait(1500);
    await host.kill("h");
    // supervisord sees it at a turn of its loop.
    await host.wait(1500);
    return { ran: states.includes("RUNNING"), again: processes > 1, killed: await until(host, "h", "RUNNING") };
  },
  "one that does not stop is killed when its time is over": async (host) => {
    host.write("g", "stays");
    await host.reload();
    await host.add("g");
    await host.start("g");
    await host.wait(1600);
    await host.stop("g");
    await host.wait(700);
    const meanwhile = (await host.look("g"))?.state;
    const early = await host.remove("g");
    await host.wait(3000);
    return { meanwhile, early, end: (await host.look("g"))?.state, removed: await host.remove("g") };
  },
  "groups that are not there": async (host) => [
    await codeOf(host.add("g")),
    await host.stop("g"),
    await host.remove("g"),
    await host.look("g"),
  ],
  "another's broken file: nothing new is read, and what runs goes on": async (host) => {
    host.write("g", "well");
    await host.reload();
    await host.add("g");
    await host.start("g");
    host.break(true);
    host.write("h", "well");
    const reload = await codeOf(host.reload());
    const added = await codeOf(host.add("h"));
    await host.wait(1500);
    const { state } = (await host.look("g")) ?? {};
    host.break(false);
    return { reload, added, state, later: [await codeOf(host.reload()), await codeOf(host.add("h"))] };
  },
  "a program that is added runs at the next turn of the loop, also without a start": async (host) => {
    host.write("g", "well");
    await host.reload();
    await host.add("g");
    await host.wait(3000);
    return (await host.look("g"))?.state;
  },
};

test.each(Object.entries(histories))(
  "supervisord: %s",
  async (_, history) => {
    const [one, other] = await Promise.all([history(simulated()), real().then(history)]);
    expect(one).toEqual(other);
  },
  60_000,
);
