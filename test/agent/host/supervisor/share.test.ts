import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RunSpec } from "../../../../agent/contracts/privileged.ts";
import { childrenOf } from "../../../../agent/host/exec/processes.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { canGiveShareBack, quietMs } from "../../../../agent/host/supervisor/share.ts";
import { type EmbeddedHost, embeddedHost } from "../embedded-host.ts";
import { eventually, release, testConfig, testSpec } from "../scratch.ts";

/** A master with a second thread, which has started a worker in a session of its own and one that is nicer by itself. */
const server = `import os, subprocess, sys, threading, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(["nice", "-n", "3", *sleep])
open(os.path.join(sys.argv[1], os.environ["CUTOVER_INSTANCE"] + ".up"), "w").close()
time.sleep(600)
`;

async function started(): Promise<{ host: EmbeddedHost; spec: RunSpec; up: () => Promise<number>; directory: string }> {
  const host = await embeddedHost();
  await host.privileged.prepareApp("shop");
  const layout = appLayout(host.embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  writeFileSync(join(layout.app(release), "server.py"), server);
  symlinkSync("/usr", layout.releaseVenv(release));
  const command = ["/usr/bin/python3", "server.py", "{shared}", "{socket}"];
  const spec = testSpec(testConfig({ server: { kind: "command", command, instances: 1 } }));
  const mark = join(layout.shared, "web-0.up");
  const pidOf = async () => (await host.privileged.programs("shop", spec.run))?.[0]?.pid ?? 0;
  // Both children have become their programs when the second one has its own nice value.
  const up = async () => {
    await eventually(async () => existsSync(mark) && (await niceValues(await pidOf())).length === 4);
    rmSync(mark);
    return pidOf();
  };
  await host.privileged.startPrograms(spec);
  return { host, spec, up, directory: layout.launchDir(spec.run) };
}

/** Of its threads and of its children, sorted; without a child that is not yet nicer than its parent by 3. */
async function niceValues(pid: number): Promise<number[]> {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)));
  const children = (await childrenOf(pid)).map((child) => getPriority(child));
  return new Set(children).size < 2 ? [] : [...threads, ...children].toSorted((one, other) => one - other);
}

test("an instance has less of the processor while it boots, and all of its processes and threads the full share afterwards", async () => {
  expect(canGiveShareBack()).toBe(true);
  const { host, spec, up } = await started();
  const base = getPriority();
  const pid = await up();
  expect(await niceValues(pid)).toEqual([base + 10, base + 10, base + 10, base + 13]);
  await host.privileged.fullShare("shop", spec.run);
  expect(await niceValues(pid)).toEqual([base, base, base, base + 3]);
  // What a process that serves does to itself is its own affair.
  const [child = 0] = await childrenOf(pid);
  setPriority(child, base + 10);
  await host.privileged.fullShare("shop", spec.run);
  expect(getPriority(child)).toBe(base + 10);
});

test("an instance that is started again later, as after a reboot, has the full share from the start", async () => {
  const { up, directory } = await started();
  const before = await up();
  const file = join(directory, "web-0.json");
  const then = new Date(Date.now() - quietMs - 1000);
  utimesSync(file, then, then);
  process.kill(before, "SIGKILL");
  await eventually(
    async () => !existsSync(`/proc/${before}`) || readFileSync(`/proc/${before}/stat`, "utf8").includes(") Z "),
  );
  const pid = await up();
  expect(pid).not.toBe(before);
  const base = getPriority();
  expect(await niceValues(pid)).toEqual([base, base, base, base + 3]);
});

test("a run that is not there has no share to give", async () => {
  const { privileged } = await embeddedHost();
  await privileged.fullShare("shop", release);
});
