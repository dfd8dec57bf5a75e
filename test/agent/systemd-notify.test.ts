import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { SystemdNotifier } from "../../agent/systemd-notify.ts";
import { Scratch } from "../harness/scratch.ts";

const systemd = `
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(listener.recv(4096).decode().strip(), flush=True)
`;

const errors: unknown[] = [];

test("systemd hears that the agent is ready, again and again that it is well, and that it stops", async () => {
  await using scratch = new Scratch("notify");
  const path = join(scratch.path, "notify.sock");
  const listener = spawn("python3", ["-c", systemd, path], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const heard: string[] = [];
    const lines = createInterface({ input: listener.stdout });
    await once(lines, "line");
    lines.on("line", (line) => heard.push(line));
    const env = { PATH: process.env.PATH, NOTIFY_SOCKET: path, WATCHDOG_USEC: "300000" };
    const notifier = new SystemdNotifier(env, (error) => errors.push(error));
    await notifier.ready();
    await expect
      .poll(() => heard.filter((line) => line === "WATCHDOG=1").length, { timeout: 20_000 })
      .toBeGreaterThan(2);
    await notifier.stopping();
    expect(heard[0]).toBe("READY=1");
    await expect.poll(() => heard).toContain("STOPPING=1");
    expect(errors).toEqual([]);
  } finally {
    listener.kill();
  }
});

test("without systemd it reports nothing", async () => {
  await using scratch = new Scratch("notify");
  const program = join(scratch.path, "systemd-notify");
  await writeFile(program, "#!/bin/sh\nexit 1\n");
  await chmod(program, 0o755);
  const failures: unknown[] = [];
  const silent = new SystemdNotifier({ PATH: scratch.path }, (error) => failures.push(error));
  await silent.ready();
  await silent.stopping();
  expect(failures).toEqual([]);
  // The same program, asked: it fails, which is a line in the log and no more.
  const asked = new SystemdNotifier({ PATH: scratch.path, NOTIFY_SOCKET: "/nowhere" }, (error) => failures.push(error));
  await asked.ready();
  expect(failures).toHaveLength(1);
});
