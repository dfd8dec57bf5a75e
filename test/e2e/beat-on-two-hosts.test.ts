import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appLayout } from "../../agent/host/store/layout.ts";
import { runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { Redis } from "../harness/redis.ts";
import { Scratch } from "../harness/scratch.ts";
import { beatLives, beatsTogether, celeryProject, JobStream, readJournal } from "../load/jobs.ts";

/** A real Celery on two hosts with one Redis: a worker on each, and beat on the first alone. */

const stack = new AsyncDisposableStack();
const agents: EmbeddedAgent[] = [];
let key: Key;
let project: string;
let url: string;

beforeAll(async () => {
  const redis = stack.use(await Redis.start());
  project = stack.use(new Scratch("celery")).path;
  await cp(celeryProject, project, { recursive: true });
  for (const port of await freePorts(2)) {
    const agent = stack.use(await startAgent());
    agents.push(agent);
    // Both trust the one key, as hosts of one repository do.
    key ??= await agent.newKey();
    await agent.addApp({ key, ports: [port] });
    await agent.writeSecrets("shop", { SHOP_BROKER: redis.broker });
    url ??= `http://127.0.0.1:${port}`;
  }
  await action("deploy");
});
afterAll(() => stack.disposeAsync());

async function action(command: string): Promise<string> {
  const hosts = agents.map((agent) => agent.url).join("\n");
  const { exitCode, stdout } = await runAction({
    inputs: { hosts, "signing-key": key.privatePem, command },
    cwd: project,
  });
  expect(exitCode, stdout).toBe(0);
  return stdout;
}

const journals = () =>
  agents.map(({ directory }) => join(appLayout(join(directory, "data"), "shop").shared, "journal"));

/** What runs next to the web instances, on each host. */
async function processes(): Promise<string[][]> {
  const views = await Promise.all(agents.map((agent) => agent.appView()));
  return views.map(({ instances, live }) =>
    instances
      .filter(({ process, run, state }) => process !== undefined && run === live && state === "RUNNING")
      .map(({ name }) => name)
      .toSorted(),
  );
}

const wanted = [["beat-0", "worker-0"], ["worker-0"]];

test("beat runs on the first host alone, and no job is lost, over a deploy, a redeploy and a rollback", async () => {
  expect(await processes()).toEqual(wanted);
  await using jobs = new JobStream({ url, rate: 3, journal: journals() });
  for (const command of ["deploy", "redeploy", "rollback"]) {
    await action(command);
    expect(await processes(), command).toEqual(wanted);
  }
  const report = await jobs.stop();
  expect(report.refused).toEqual([]);
  expect(report.lost).toEqual([]);
  expect(report.cut).toEqual([]);
  const [first = "", second = ""] = journals();
  const [beats, elsewhere] = [first, second].map((file) => beatLives(readJournal(file)));
  expect(elsewhere).toEqual([]);
  expect(beatsTogether(beats ?? [])).toEqual([]);
  expect(beats).toHaveLength(4);
  // Both hosts' workers take jobs.
  for (const file of [first, second]) expect(await readFile(file, "utf8")).toMatch(/ end /);
});
