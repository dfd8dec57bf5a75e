import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appLayout } from "../../agent/host/store/layout.ts";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { Redis } from "../harness/redis.ts";
import { Scratch } from "../harness/scratch.ts";
import { beatLives, beatsTogether, celeryProject, JobStream, longestWaits, readJournal } from "../load/jobs.ts";

/** A real Celery worker and beat on a real Redis, beside gunicorn. */

const deploys = 4;
const stack = new AsyncDisposableStack();
let agent: EmbeddedAgent;
let key: Key;
let url: string;
let project: string;
let journal: string;

beforeAll(async () => {
  const redis = stack.use(await Redis.start());
  project = stack.use(new Scratch("celery")).path;
  agent = stack.use(await startAgent({ name: "celery" }));
  key = await agent.newKey();
  const [port = 0] = await freePorts(1);
  await agent.addApp({ key, ports: [port] });
  await agent.writeSecrets("shop", { SHOP_BROKER: redis.broker });
  await cp(celeryProject, project, { recursive: true });
  url = `http://127.0.0.1:${port}`;
  journal = join(appLayout(join(agent.directory, "data"), "shop").shared, "journal");
  await deploy();
});
afterAll(() => stack.disposeAsync());

async function action(): Promise<ActionResult> {
  return runAction({ inputs: { hosts: agent.url, "signing-key": key.privatePem }, cwd: project });
}

async function deploy(): Promise<ActionResult> {
  const result = await action();
  expect(result.exitCode, result.stdout).toBe(0);
  return result;
}

/** A release whose worker or beat cannot import its app, with more time to be found out than it needs. */
async function brokenDeploy(process: "worker" | "beat"): Promise<ActionResult> {
  const file = join(project, "cutover.yml");
  const config = await readFile(file, "utf8");
  const slow =
    process === "worker"
      ? config.replace("stay_up: 2s", "stay_up: 50s")
      : config.replace("stay_up: 1s", "stay_up: 50s");
  await writeFile(file, slow.replace(`-A shop.jobs ${process}`, `-A shop.nothing ${process}`));
  try {
    return await action();
  } finally {
    await writeFile(file, config);
  }
}

async function processes(): Promise<[string, string, string][]> {
  const { instances } = await agent.appView();
  return instances.filter(({ process }) => process !== undefined).map(({ name, run, state }) => [name, run, state]);
}

test("no job is lost or cut over several deploys, and beat is never there twice", async () => {
  await using jobs = new JobStream({ url, rate: 4, journal });
  const windows: { from: number; to: number }[] = [];
  for (let number = 1; number <= deploys; number++) {
    const from = Date.now();
    const { outputs, stdout } = await deploy();
    windows.push({ from, to: Date.now() });
    const release = outputs.release ?? "";
    expect((await processes()).toSorted()).toEqual([
      ["beat-0", release, "RUNNING"],
      ["worker-0", release, "RUNNING"],
    ]);
    expect(stdout).toMatch(/worker of \S+ was asked to stop and ended; waited /);
    expect(stdout).not.toContain("had to be killed");
  }
  const report = await jobs.stop();
  const { during, between } = longestWaits(report.waits, windows);
  console.log(
    `${report.sent} jobs over ${deploys} deploys: ${report.lost.length} lost, ${report.cut.length} cut, ` +
      `${report.twice.length} done twice (only a job whose worker is killed after it has begun may be); ` +
      `longest wait ${Math.round(during)} ms during a deploy, ${Math.round(between)} ms between; ` +
      `${report.beats.length} beats, longest time without a tick ${Math.round(report.longestTickGap)} ms`,
  );
  expect(report.refused).toEqual([]);
  expect(report.lost).toEqual([]);
  expect(report.cut).toEqual([]);
  expect(report.sent).toBeGreaterThan(10 * deploys);
  expect(report.beats).toHaveLength(deploys + 1);
  expect(beatsTogether(report.beats)).toEqual([]);
}, 240_000);

test("the logs of the processes are shown with those of the instances", async () => {
  const { stdout } = await agent.cutover("logs", "shop", "-n", "50");
  for (const name of ["web-0", "web-1", "worker-0", "beat-0"]) expect(stdout).toContain(name);
});

test("a worker that cannot start fails the deploy with its traceback; the old worker and beat go on", async () => {
  const before = await agent.appView();
  const { exitCode, stdout, annotations } = await brokenDeploy("worker");
  expect(exitCode).toBe(1);
  expect(stdout).toContain("worker-0 exited during startup: ");
  expect(stdout).toContain("nothing");
  expect(annotations.length).toBeGreaterThan(0);
  const after = await agent.appView();
  expect(after.live).toBe(before.live);
  const pids = ({ instances }: typeof before) => instances.map(({ name, run, pid }) => [name, run, pid]);
  expect(pids(after)).toEqual(pids(before));
});

test("a beat that cannot start is undone by the old one, and a rollback has its own worker", async () => {
  const { exitCode, stdout: log } = await brokenDeploy("beat");
  expect(exitCode).toBe(1);
  expect(log).toContain("beat-0 exited during startup: ");
  const { live, previous } = await agent.appView();
  expect((await processes()).map(([name, run]) => [name, run]).toSorted()).toEqual([
    ["beat-0", live],
    ["worker-0", live],
  ]);
  const { code, stdout } = await agent.cutover("rollback", "shop");
  expect(code, stdout).toBe(0);
  expect((await processes()).toSorted()).toEqual([
    ["beat-0", previous, "RUNNING"],
    ["worker-0", previous, "RUNNING"],
  ]);
  expect(beatsTogether(beatLives(readJournal(journal)))).toEqual([]);
});

test("killed while the worker is handed over, the agent brings all of it into order at its next start", async () => {
  const { live } = await agent.appView();
  const killed = Promise.withResolvers<void>();
  let seen = false;
  const run = runAction({
    inputs: { hosts: agent.url, "signing-key": key.privatePem },
    cwd: project,
    onLine: (line) => {
      if (seen || !line.includes("beat is started and has to stay up")) return;
      seen = true;
      void agent.kill().then(killed.resolve);
    },
  });
  await killed.promise;
  await agent.start();
  expect((await run).exitCode).toBe(1);
  expect((await processes()).map(([name, of]) => [name, of]).toSorted()).toEqual([
    ["beat-0", live],
    ["worker-0", live],
  ]);
  expect(beatsTogether(beatLives(readJournal(journal)))).toEqual([]);
  await deploy();
});
