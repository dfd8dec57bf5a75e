import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { startLoadProcess } from "../load/process.ts";
import { fact, heading, print, styled } from "./show.ts";
import { openPage, openStage, type Stage } from "./stage.ts";
import {
  checkoutPage,
  deployBroken,
  deployFirst,
  deployGood,
  rates,
  summarize,
  tellFailures,
  type Visitors,
} from "./story.ts";

/**
 * The main job, to look at: three releases of the sample shop through the built Action, two of them under load, on an
 * agent with an nginx and a supervisord of its own. The page of `cutover ui` shows it all; the third release is broken at one
 * page, and its visitors take it back. `--exit` ends at once instead of waiting for Ctrl-C.
 */

/** How long a person at a terminal has to open the page, in seconds. Enter goes on at once. */
const openSeconds = 20;
/** Requests a second when all is told, so that the page has visitors as long as somebody plays with it. */
const afterwards = 20;
/** The longest that the load allows. */
const hourMs = 60 * 60_000;

const { stdin, stdout, env } = process;
const atTerminal = stdin.isTTY === true && stdout.isTTY === true;

/** The command `cutover` of the demo's host. */
function commandOf({ agent }: Stage): string {
  return `CUTOVER_EMBEDDED=${agent.directory} node_modules/.bin/node agent/dist/cutover.mjs`;
}

function showPage(stage: Stage, address: string): { opened: boolean } {
  heading("The page: slots, visitors and releases change on it as it happens");
  const { port } = new URL(address);
  fact(styled("bold", address));
  const opened = atTerminal && openBrowser(address);
  const forwarded = `ssh -L ${port}:127.0.0.1:${port} ...`;
  if (env.SSH_CONNECTION !== undefined) fact(styled("dim", `on your own computer, after \`${forwarded}\``));
  else fact(styled("dim", opened ? "opened in your browser" : "open it in a browser; the address works once"));
  fact(styled("dim", "in another terminal, in this directory:"));
  fact(styled("dim", `${commandOf(stage)} status`));
  return { opened };
}

/** In the desktop's browser, if there is a desktop. */
function openBrowser(address: string): boolean {
  if (env.DISPLAY === undefined && env.WAYLAND_DISPLAY === undefined) return false;
  const browser = spawn("xdg-open", [address], { stdio: "ignore", detached: true });
  browser.on("error", () => undefined);
  browser.unref();
  return browser.pid !== undefined;
}

async function waitForReader(signal: AbortSignal): Promise<void> {
  const lines = createInterface({ input: stdin, output: stdout });
  const patience = AbortSignal.any([signal, AbortSignal.timeout(openSeconds * 1000)]);
  const question = `\n  Open the page and press Enter; the story goes on by itself in ${openSeconds} s. `;
  await lines.question(question, { signal: patience }).catch(() => print());
  lines.close();
  signal.throwIfAborted();
}

async function startVisitors(stack: AsyncDisposableStack, { site: url }: Stage): Promise<Visitors> {
  const checkout = { url, rate: rates.checkout, shares: { page: 1 }, page: checkoutPage, seed: 2 };
  return {
    site: stack.use(await startLoadProcess({ url, rate: rates.site })),
    checkout: stack.use(await startLoadProcess(checkout)),
  };
}

async function demo(exit: boolean, signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = await openStage(stack, signal);
  const { opened } = showPage(stage, await openPage(stage));
  await deployFirst(stage, signal);
  if (atTerminal && !exit && !opened) await waitForReader(signal);
  const visitors = await startVisitors(stack, stage);
  try {
    await deployGood(stage, visitors, signal);
    await deployBroken(stage, visitors, signal);
  } catch (error) {
    if (!signal.aborted) await tellFailures(visitors);
    throw error;
  }
  await summarize(visitors);
  heading("Have a look");
  fact(`${styled("bold", `${stage.site}/`)}  the shop`);
  fact(`${commandOf(stage)} status`);
  fact(`${commandOf(stage)} ui  the page, at one more address`);
  if (exit) return;
  stack.use(await startLoadProcess({ url: stage.site, rate: afterwards, longestMs: hourMs }));
  print(`\n${styled("dim", `Running until Ctrl-C, with ${afterwards} requests a second.`)}`);
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
