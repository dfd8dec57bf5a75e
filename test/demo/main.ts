import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { copyShop } from "../fixtures/shop.ts";
import { startAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";
import type { Load } from "../load/load.ts";
import { startLoadProcess } from "../load/process.ts";
import { duration, fact, heading, print, step, styled } from "./show.ts";

/**
 * The main job, to look at: three releases of the sample shop through the built Action, two of them under load, on an
 * agent with an nginx and a supervisord of its own. `--exit` ends at once instead of waiting for Ctrl-C.
 */

const rate = 300;

interface Stage {
  agent: EmbeddedAgent;
  key: Key;
  project: Scratch;
  site: string;
}

async function openStage(stack: AsyncDisposableStack, signal: AbortSignal): Promise<Stage> {
  heading("A host of its own");
  const begun = performance.now();
  const project = stack.use(new Scratch("project"));
  const agent = stack.use(await startAgent({ name: "demo" }));
  signal.throwIfAborted();
  const key = await agent.newKey();
  const [port = 0] = await freePorts(1);
  await agent.addApp({ key, ports: [port] });
  step("agent, nginx, supervisord", duration(performance.now() - begun), `in ${agent.directory}`);
  return { agent, key, project, site: `http://127.0.0.1:${port}` };
}

async function deploy({ agent, key, project }: Stage, version: string, signal: AbortSignal): Promise<void> {
  await copyShop(project.path, { version });
  const begun = performance.now();
  const action = startAction({
    inputs: { hosts: agent.url, "signing-key": key.privatePem },
    cwd: project.path,
    env: await offlinePip(),
    onLine: showPhase,
  });
  const cancel = () => action.signal("SIGINT");
  signal.addEventListener("abort", cancel, { once: true });
  const result = await action.result;
  signal.removeEventListener("abort", cancel);
  signal.throwIfAborted();
  if (result.exitCode !== 0) {
    print(result.stdout);
    throw new Error(`the deploy of ${version} failed`);
  }
  step(styled("bold", `${version} is live`), duration(performance.now() - begun), result.outputs.release);
}

/** The Action ends each phase with a line `<phase> (<time>)`, and a host's phases begin with its address. */
function showPhase(line: string): void {
  const [, host, phase, took] =
    /^(?:(\S+:\d+): )?([a-z][a-z ]*) \(([\d.]+m?s|[\d.]+m [\d.]+s)\)(?::|$)/.exec(line) ?? [];
  if (phase !== undefined && took !== undefined) step(phase, took, host === undefined ? "runner" : "host");
}

async function deployUnderLoad(stage: Stage, load: Load, version: string, signal: AbortSignal): Promise<void> {
  heading(`Deploying ${version}, with ${rate} requests a second on the site`);
  const before = load.snapshot();
  await deploy(stage, version, signal);
  // Two-second requests that began before the end have ended by then.
  await sleep(2500, undefined, { signal });
  const after = load.snapshot();
  const failed = after.failed - before.failed;
  const sent = (after.sent - before.sent).toLocaleString("en");
  fact(
    `${sent} requests sent meanwhile, ${styled(failed === 0 ? "green" : "red", `${failed} failed`)}; visitors now see ${after.latest?.version}`,
  );
}

async function summarize(load: Load): Promise<void> {
  const { sent, failed, failures, kinds, versions } = await load.stop();
  heading("All requests together");
  const total = `${sent.toLocaleString("en")} sent, ${failed} failed`;
  fact(
    `${styled(failed === 0 ? "green" : "red", total)}; of the quick ones half took up to ${kinds.get.latency.p50.toFixed(1)} ms, 99 % up to ${kinds.get.latency.p99.toFixed(1)} ms`,
  );
  const mix = Object.entries(kinds).map(([kind, report]) => `${report.sent.toLocaleString("en")} ${kind}`);
  fact(styled("dim", `${mix.join(", ")}; half of them on connections of their own, none repeated`));
  fact(
    styled(
      "dim",
      `answered by ${versions.map(({ version, count }) => `${version} ${count.toLocaleString("en")} times`).join(", ")}`,
    ),
  );
  for (const { time, kind, reason } of failures.slice(0, 10)) fact(styled("red", `${time} ${kind}: ${reason}`));
  if (failed > 0) process.exitCode = 1;
}

async function demo(exit: boolean, signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = await openStage(stack, signal);
  heading("Deploying v1, the first release");
  await deploy(stage, "v1", signal);
  const load = stack.use(await startLoadProcess({ url: stage.site, rate }));
  for (const version of ["v2", "v3"]) {
    signal.throwIfAborted();
    await deployUnderLoad(stage, load, version, signal);
  }
  await summarize(load);
  heading("Have a look");
  fact(`${styled("bold", `${stage.site}/`)}  the shop; leave it open while you deploy`);
  const command = `CUTOVER_EMBEDDED=${stage.agent.directory} node_modules/.bin/node agent/dist/cutover.mjs`;
  fact(`${command} status`);
  fact(`${command} ui  a page with slots, visitors and releases`);
  if (exit) return;
  print(`\n${styled("dim", "Running until Ctrl-C.")}`);
  if (!signal.aborted) await once(signal, "abort");
}

const { values } = parseArgs({ options: { exit: { type: "boolean", default: false } } });
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // Whoever insists gets the quick end: what is left is killed and removed while this process exits.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
    print(styled("dim", "\nStopping ..."));
  });
}
try {
  await demo(values.exit, stop.signal);
} catch (error) {
  if (!stop.signal.aborted) print(styled("red", error instanceof Error ? error.message : String(error)));
  process.exitCode = stop.signal.aborted ? 130 : 1;
}
print(styled("dim", "Everything is stopped and removed."));
