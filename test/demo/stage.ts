import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyShop, type ShopOptions } from "../fixtures/shop.ts";
import { type ActionResult, startAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { cutoverProgram, node, offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { processId } from "../harness/processes.ts";
import { Scratch } from "../harness/scratch.ts";
import { duration, fact, heading, step, styled } from "./show.ts";

/** A host of its own, and what is deployed to it. */
export interface Stage {
  agent: EmbeddedAgent;
  key: Key;
  project: Scratch;
  site: string;
}

/** One more release of the shop. */
export interface Act extends Pick<ShopOptions, "fault"> {
  version: `v${number}`;
  watch: string;
}

export async function openStage(stack: AsyncDisposableStack, signal: AbortSignal): Promise<Stage> {
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

/** The page, by the command that also shows it on a host. @returns its address, for one browser */
export async function openPage({ agent }: Stage): Promise<string> {
  const child = spawn(node, [cutoverProgram, "ui", "--port", "0", "--json"], {
    env: { CUTOVER_EMBEDDED: agent.directory },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.pid !== undefined) agent.scratch.adopt(processId(child.pid));
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  return (JSON.parse(printed.toString()) as { address: string }).address;
}

/** The end of a release's name is its commit: so the names tell the releases apart on the page. */
export function commitOf(version: Act["version"]): string {
  return version.slice(1).repeat(40);
}

/** One deploy by the built Action, with its phases as they end, and what it says of visitors. */
export async function deploy(
  { agent, key, project }: Stage,
  { version, watch, fault }: Act,
  signal: AbortSignal,
): Promise<ActionResult> {
  await copyShop(project.path, { version, config: { watch }, ...(fault !== undefined && { fault }) });
  const action = startAction({
    inputs: { hosts: agent.url, "signing-key": key.privatePem },
    cwd: project.path,
    env: { ...(await offlinePip()), GITHUB_SHA: commitOf(version) },
    onLine(line) {
      showPhase(line);
      showVisitors(line);
    },
  });
  const cancel = () => action.signal("SIGINT");
  signal.addEventListener("abort", cancel, { once: true });
  const result = await action.result;
  signal.removeEventListener("abort", cancel);
  signal.throwIfAborted();
  return result;
}

/** The Action ends each phase with a line `<phase> (<time>)`, and a host's phases begin with its address. */
function showPhase(line: string): void {
  const [, host, phase, took] =
    /^(?:(\S+:\d+): )?([a-z][a-z ]*) \(([\d.]+m?s|[\d.]+m [\d.]+s)\)(?::|$)/.exec(line) ?? [];
  if (phase !== undefined && took !== undefined) step(phase, took, host === undefined ? "runner" : "host");
}

/** What the agent says of a release's visitors, as the Action prints it. */
function showVisitors(line: string): void {
  const [said] = /^\S+ (?:is watched for .*|is (?:not )?judged by its visitors.*|failed: .*)$/.exec(line) ?? [];
  if (said !== undefined) fact(styled(said.includes(" failed: ") ? "red" : "cyan", said));
}
