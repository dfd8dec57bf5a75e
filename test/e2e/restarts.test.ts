import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runAction } from "../harness/action.ts";
import { type EmbeddedAgent, startAgent } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

/** `cutover status` counts the restarts that a real supervisord made. */

const stack = new AsyncDisposableStack();
let agent: EmbeddedAgent;
beforeAll(async () => {
  agent = stack.use(await startAgent({ name: "restarts" }));
});
afterAll(() => stack.disposeAsync());

const app = `def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
`;
const config = `app: shop
server: { kind: gunicorn, app: "app:app", instances: 2, workers: 1 }
python: { wheels: none, system_site_packages: true }
processes: { worker: { command: sleep 600, stay_up: 2s } }
keep_warm: 0s
watch: 0s
`;

const counts = async () => {
  const { instances } = await agent.appView();
  return Object.fromEntries(instances.map(({ name, restarts }) => [name, restarts]));
};

/** Kills it, and waits until supervisord has started it again and the agent has seen that. */
async function restart(name: string): Promise<void> {
  const { instances } = await agent.appView();
  const one = instances.find((each) => each.name === name);
  if (one?.pid === undefined) expect.fail(`${name} has no process`);
  process.kill(one.pid, "SIGKILL");
  await expect
    .poll(async () => (await counts())[name], { timeout: 30_000, interval: 200 })
    .toBe((one.restarts ?? 0) + 1);
}

test("each restart counts for its own instance, and an agent that started later says so", async () => {
  const key = await agent.newKey();
  await agent.addApp({ key, ports: await freePorts(1) });
  const cwd = stack.use(new Scratch("restarts-project")).path;
  await writeFile(join(cwd, "app.py"), app);
  await writeFile(join(cwd, "cutover.yml"), config);
  await writeFile(join(cwd, "requirements.txt"), "gunicorn\n");
  const { exitCode, stdout } = await runAction({
    inputs: { hosts: agent.url, "signing-key": key.privatePem },
    cwd,
  });
  expect(exitCode, stdout).toBe(0);
  expect(await counts()).toEqual({ "web-0": undefined, "web-1": undefined, "worker-0": undefined });
  const quiet = await agent.cutover("status", "shop");
  expect(quiet.stdout).toContain("worker-0");
  expect(quiet.stdout).not.toContain("restarts");

  // Counting begins at the agent's first look at a live run, which it takes every 3 s.
  await setTimeout(6000);
  await restart("worker-0");
  await restart("worker-0");
  await restart("web-1");
  expect(await counts()).toEqual({ "web-0": undefined, "web-1": 1, "worker-0": 2 });
  const shown = await agent.cutover("status", "shop");
  expect(shown.stdout).toMatch(/^ {2}instance .* restarts$/m);
  expect(shown.stdout).not.toContain("since the agent started");

  await agent.kill();
  await agent.startAgain();
  await expect.poll(async () => (await agent.appView()).restarts_since, { timeout: 30_000 }).toBeDefined();
  await restart("web-0");
  expect((await agent.cutover("status", "shop")).stdout).toMatch(/^ {2}restarts since the agent started, .* ago$/m);
}, 120_000);
