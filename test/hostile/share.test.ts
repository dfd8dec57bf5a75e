import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LocalPrivileged } from "../../agent/host/privileged.ts";
import { appLayout } from "../../agent/host/store/layout.ts";
import { launcherFile } from "../../agent/host/supervisor/launch-files.ts";
import { giveShareBack, hasLowShare } from "../../agent/host/supervisor/share.ts";
import { embeddedHost } from "../agent/host/embedded-host.ts";
import { eventually, release, testConfig, testSpec } from "../agent/host/scratch.ts";
import { runProgram } from "../harness/run.ts";

/**
 * `fullShare` lets the helper raise the priority of processes, for an agent that may have been taken over and for an app that may
 * be hostile. It must give it to the app's own processes alone, and never more of it than supervisord has.
 */

const isRoot = process.geteuid?.() === 0;
/** The nice value of supervisord, which the tests may have from a shell that is nice itself, and of an instance that boots. */
const base = getPriority();
const quiet = Math.min(19, base + 10);

const idOf = async (flag: string, user: string) => Number((await runProgram(["id", flag, user])).stdout);

/** A process of another program, as nice as an instance that boots. */
async function sleeper(user: string, env: NodeJS.ProcessEnv = {}): Promise<number> {
  const [uid, gid] = await Promise.all([idOf("-u", user), idOf("-g", user)]);
  const child = spawn("sleep", ["600"], { uid, gid, env: { PATH: "/usr/bin:/bin", ...env }, stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "spawn");
  const { pid = 0 } = child;
  setPriority(pid, quiet);
  return pid;
}

/** An app with a user of its own, one instance of which boots. */
async function booting(user: string) {
  const { embedded, apps } = await embeddedHost();
  writeFileSync(join(embedded.appsDir, "shop.yml"), `user: ${user}\n`);
  const settings = {
    ...embedded.settings,
    build_user: "uucp",
    nginx: { ...embedded.settings.nginx, group: "www-data" },
  };
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
  await privileged.prepareApp("shop");
  const layout = appLayout(settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  const up = join(layout.shared, "up");
  const script = `import sys, time\nopen(sys.argv[1], "w").close()\ntime.sleep(600)\n`;
  writeFileSync(join(layout.app(release), "server.py"), script);
  symlinkSync("/usr", layout.releaseVenv(release));
  await privileged.shareRelease("shop", release);
  const command = ["/usr/bin/python3", "server.py", "{shared}/up", "{socket}"];
  await privileged.startPrograms(testSpec(testConfig({ server: { kind: "command", command, instances: 1 } })));
  await eventually(async () => existsSync(up));
  rmSync(up);
  const pid = (await privileged.programs("shop", release))?.[0]?.pid ?? 0;
  const marks = { CUTOVER_SHARED: layout.shared, CUTOVER_RUN: release, CUTOVER_INSTANCE: "web-0" };
  return { privileged, pid, marks };
}

test.runIf(isRoot)(
  "processes of others that wear an instance's marks get nothing, nor does what it has not started",
  async () => {
    const { privileged, pid, marks } = await booting("games");
    const [roots, others, own, apart] = [
      await sleeper("root", marks),
      await sleeper("uucp", marks),
      await sleeper("games", marks),
      await sleeper("games"),
    ];
    const nice = () => [pid, roots, others, own, apart].map((id) => getPriority(id));
    expect(nice()).toEqual([quiet, quiet, quiet, quiet, quiet]);
    await privileged.fullShare("shop", release);
    // The one that wears them as the app's user is the app's.
    expect(nice()).toEqual([base, quiet, quiet, base, quiet]);
  },
);

test.runIf(isRoot)("no call takes a process above its supervisord, however often it comes", async () => {
  const { privileged, pid } = await booting("games");
  for (let call = 0; call < 3; call++) await privileged.fullShare("shop", release);
  expect(getPriority(pid)).toBe(base);
  // A hostile app makes itself nicer, so that it is given back more than was taken.
  const nicer = Math.min(19, base + 15);
  setPriority(pid, nicer);
  for (let call = 0; call < 3; call++) await privileged.fullShare("shop", release);
  expect(getPriority(pid)).toBe(Math.max(base, nicer - 10));
});

/** As a service of the host's owner that goes before all others, and starts something as the app's user. */
const eager = `import os, subprocess
os.setpriority(os.PRIO_PROCESS, 0, -10)
child = subprocess.Popen(["sleep", "600"], user="games", preexec_fn=lambda: os.setpriority(os.PRIO_PROCESS, 0, 5))
print(child.pid, flush=True)
child.wait()
`;

test.runIf(isRoot)(
  "a process id that was reused since supervisord named it gives the new process nothing",
  async () => {
    const parent = spawn("python3", ["-c", eager], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(String(line));
    onTestFinished(() => {
      process.kill(pid, "SIGKILL");
      parent.kill("SIGKILL");
    });
    const marks = { shared: "/srv/shop/shared", run: release, instance: "web-0" };
    const uid = await idOf("-u", "games");
    const supervisord = process.pid;
    expect(getPriority(pid)).toBe(5);
    giveShareBack({ pid, uid, marks, supervisord });
    expect(getPriority(pid)).toBe(5);
    expect(hasLowShare(pid, supervisord)).toBe(false);
  },
);
