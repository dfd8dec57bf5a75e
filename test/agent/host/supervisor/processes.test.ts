import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ProcessProgram, RunSpec } from "../../../../agent/contracts/privileged.ts";
import { startEmbedded } from "../../../../agent/host/embedded/embedded.ts";
import { childrenOf, processRuns } from "../../../../agent/host/exec/processes.ts";
import { LocalPrivileged } from "../../../../agent/host/privileged.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../../agent/host/supervisor/instance-logs.ts";
import { launcherFile } from "../../../../agent/host/supervisor/launch-files.ts";
import { programsFileName } from "../../../../agent/host/supervisor/programs-file.ts";
import { type EmbeddedHost, embeddedHost } from "../embedded-host.ts";
import { eventually, release, testConfig, testSpec } from "../scratch.ts";

/** A worker of two processes, as Celery has them: asked to stop, the main one waits for the job of the other. */
const worker = `import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(float('%s'))" % sys.argv[1]])
def stop(signal, frame):
    child.wait()
    print("finished with", child.returncode, flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print(os.environ["CUTOVER_INSTANCE"], os.environ["SECRET"], *sys.argv[2:], flush=True)
while True:
    time.sleep(0.1)
`;

/** A release with a worker whose job takes this many seconds. */
async function hostWithWorker(seconds: number, entry: object = {}): Promise<{ host: EmbeddedHost; spec: RunSpec }> {
  const host = await embeddedHost();
  await host.privileged.prepareApp("shop");
  const layout = appLayout(host.embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  writeFileSync(join(layout.app(release), "worker.py"), worker);
  symlinkSync("/usr", layout.releaseVenv(release));
  writeFileSync(join(host.embedded.appsDir, "shop.env"), "SECRET=s3cret\n");
  const command = ["/usr/bin/python3", "worker.py", String(seconds), "{instance}@{run}", "{other}"];
  const processes = { worker: { command, ...entry }, beat: { command, overlap: false } };
  return { host, spec: testSpec(testConfig({ processes }), `${release}.2`) };
}

async function programsOf({ privileged }: EmbeddedHost, process: string): Promise<ProcessProgram[] | undefined> {
  return (await privileged.processes("shop")).find((group) => group.process === process)?.programs;
}

async function logOf({ embedded }: EmbeddedHost, run: string, source: string): Promise<string> {
  const { data, supervisor } = embedded.settings;
  const tails = await new SupervisorLogs(data, supervisor.conf_dir).tail("shop", run, 50);
  return tails.find((tail) => tail.source === source)?.text ?? "";
}

test("a programs file that was not written to its end goes with the run", async () => {
  const { privileged, embedded } = await embeddedHost();
  const confDir = embedded.settings.supervisor.conf_dir;
  await privileged.prepareApp("shop");
  writeFileSync(join(confDir, `${programsFileName("shop", release)}.tmp`), "[progr");
  await privileged.removePrograms("shop", release);
  expect(readdirSync(confDir)).toEqual([]);
});

test("a process runs as the web instances do, is known, and its removal leaves nothing of it", async () => {
  const { host, spec } = await hostWithWorker(0, { instances: 2, stop_timeout: "30s" });
  const { privileged, embedded } = host;
  expect(await privileged.processes("shop")).toEqual([]);
  await privileged.startProcess(spec, "worker");
  await privileged.startProcess(spec, "beat");
  // Its line comes word by word.
  await eventually(async () => (await logOf(host, spec.run, "worker-1")).endsWith("{other}"));
  expect(await logOf(host, spec.run, "worker-1")).toBe(`worker-1 s3cret worker-1@${spec.run} {other}`);
  const groups = await privileged.processes("shop");
  expect(groups.map(({ run, process, stopMs }) => [run, process, stopMs])).toEqual([
    [spec.run, "beat", 60_000],
    [spec.run, "worker", 30_000],
  ]);
  const before = await programsOf(host, "worker");
  expect(before?.map(({ name }) => name)).toEqual(["worker-0", "worker-1"]);
  await privileged.startProcess(spec, "worker");
  expect((await programsOf(host, "worker"))?.map(({ pid }) => pid)).toEqual(before?.map(({ pid }) => pid));
  expect(await privileged.runs("shop")).toEqual([spec.run]);

  await privileged.removeProcess("shop", spec.run, "worker");
  for (const { pid } of before ?? []) expect(await processRuns(pid)).toBe(false);
  expect((await privileged.processes("shop")).map(({ process }) => process)).toEqual(["beat"]);
  expect(readdirSync(embedded.settings.supervisor.conf_dir)).toEqual([`cutover-shop-${spec.run}+beat.conf`]);
  const { runDir, launchDir } = appLayout(embedded.settings.data, "shop");
  expect(readdirSync(launchDir(spec.run))).toEqual(["beat-0.json"]);
  await privileged.removeProcess("shop", spec.run, "worker");

  await privileged.removePrograms("shop", spec.run);
  expect(await privileged.processes("shop")).toEqual([]);
  expect([existsSync(runDir(spec.run)), existsSync(launchDir(spec.run))]).toEqual([false, false]);
  expect(readdirSync(embedded.settings.supervisor.conf_dir)).toEqual([]);
});

test("a process that is asked to stop finishes its job: its children are not asked", async () => {
  const { host, spec } = await hostWithWorker(2.5);
  const { privileged } = host;
  await privileged.startProcess(spec, "worker");
  await eventually(async () => (await logOf(host, spec.run, "worker-0")) !== "");
  await privileged.stopProcess("shop", spec.run, "worker");
  await privileged.stopProcess("shop", spec.run, "worker");
  expect((await programsOf(host, "worker"))?.[0]?.state).toBe("STOPPING");
  await privileged.removeProcess("shop", spec.run, "worker");
  expect(await logOf(host, spec.run, "worker-0")).toContain("finished with 0");
});

test("a process that does not end in time is killed with its children, and that can be told", async () => {
  const { host, spec } = await hostWithWorker(600, { stop_timeout: "1s" });
  const { privileged } = host;
  await privileged.startProcess(spec, "worker");
  await eventually(async () => (await logOf(host, spec.run, "worker-0")) !== "");
  const pid = (await programsOf(host, "worker"))?.[0]?.pid ?? 0;
  const [child = 0] = await childrenOf(pid);
  await privileged.stopProcess("shop", spec.run, "worker");
  await eventually(async () => (await programsOf(host, "worker"))?.[0]?.state === "STOPPED");
  expect((await programsOf(host, "worker"))?.[0]).toMatchObject({ signalled: true });
  await eventually(async () => !(await processRuns(pid)) && !(await processRuns(child)));
});

test("a process that ends by itself is not told to be killed", async () => {
  const { host, spec } = await hostWithWorker(0);
  const { privileged } = host;
  await privileged.startProcess(spec, "worker");
  await eventually(async () => (await logOf(host, spec.run, "worker-0")) !== "");
  await privileged.stopProcess("shop", spec.run, "worker");
  await eventually(async () => (await programsOf(host, "worker"))?.[0]?.state === "STOPPED");
  expect((await programsOf(host, "worker"))?.[0]).toMatchObject({ signalled: false });
});

test("whatever an interrupted removal or start has left is found again", async () => {
  const { host, spec } = await hostWithWorker(0);
  const { privileged, embedded } = host;
  await privileged.startProcess(spec, "worker");
  const confDir = embedded.settings.supervisor.conf_dir;
  const file = join(confDir, `cutover-shop-${spec.run}+worker.conf`);
  const text = readFileSync(file, "utf8");
  await privileged.removeProcess("shop", spec.run, "worker");
  const { launchDir } = appLayout(embedded.settings.data, "shop");
  writeFileSync(join(launchDir(spec.run), "worker-0.json"), "{}");
  expect(await privileged.processes("shop")).toEqual([
    { run: spec.run, process: "worker", stopMs: 10_000, programs: [] },
  ]);
  await privileged.removeProcess("shop", spec.run, "worker");
  expect(await privileged.processes("shop")).toEqual([]);
  writeFileSync(file, text);
  expect(await privileged.runs("shop")).toEqual([spec.run]);
  await privileged.removePrograms("shop", spec.run);
  expect(await privileged.runs("shop")).toEqual([]);
});

test("after a restart of supervisord a process is back by itself, and a removed one is not", async () => {
  const { host, spec } = await hostWithWorker(0);
  const { privileged, embedded, dir } = host;
  await privileged.startProcess(spec, "worker");
  await privileged.startProcess(spec, "beat");
  await privileged.removeProcess("shop", spec.run, "beat");
  await embedded.stop();
  const again = await startEmbedded(dir);
  try {
    const later = new LocalPrivileged({
      settings: again.settings,
      apps: host.apps,
      launcher: launcherFile(),
      ownUser: true,
    });
    await eventually(async () => (await later.processes("shop"))[0]?.programs[0]?.state === "RUNNING");
    expect((await later.processes("shop")).map(({ process }) => process)).toEqual(["worker"]);
  } finally {
    await again.stop();
  }
});
