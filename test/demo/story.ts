import { setTimeout as sleep } from "node:timers/promises";
import type { ActionResult } from "../harness/action.ts";
import type { Load } from "../load/load.ts";
import type { FailedRequest, LoadReport } from "../load/report.ts";
import { failureLines } from "./failures.ts";
import { fact, heading, print, step, styled } from "./show.ts";
import { type Act, commitOf, deploy, type Stage } from "./stage.ts";

/** Requests a second to the pages that are never broken, and to the checkout. */
export const rates = { site: 300, checkout: 15 };
/** Where the third release fails. Its front page, and with it the health check, is well. */
export const checkoutPage = "/checkout";
/** Two-second requests that began before the end of a deploy have ended by then. */
const settleMs = 2500;

/** The load goes to the checkout apart, so that what fails there is counted apart. */
export interface Visitors {
  site: Load;
  checkout: Load;
}

/** @throws Error if it went otherwise than the demo tells */
export async function deployFirst(stage: Stage, signal: AbortSignal): Promise<void> {
  heading(`Deploying ${onPage("v1")}, the first release`);
  fact(styled("dim", "runner: a step of the Action in GitHub's job; host: a step of the agent"));
  const begun = performance.now();
  expectLive(await deploy(stage, { version: "v1", watch: "0s" }, signal), "v1", performance.now() - begun);
}

/** A release that is as good as the one before. @throws Error if it went otherwise than the demo tells */
export async function deployGood(stage: Stage, visitors: Visitors, signal: AbortSignal): Promise<void> {
  tellAct(`Deploying ${onPage("v2")}`);
  const before = snapshots(visitors);
  const begun = performance.now();
  expectLive(await deploy(stage, { version: "v2", watch: "10s" }, signal), "v2", performance.now() - begun);
  const failed = await tellMeanwhile(visitors, before, signal);
  if (failed > 0)
    throw new Error(`${failed} requests for ${checkoutPage} failed before v3, which alone is broken there`);
}

/**
 * A release that answers its health check and fails at the checkout.
 * @throws Error if it went otherwise than the demo tells
 */
export async function deployBroken(stage: Stage, visitors: Visitors, signal: AbortSignal): Promise<void> {
  tellAct(`Deploying ${onPage("v3")}, whose ${checkoutPage} is broken`);
  const { live: good } = await stage.agent.appView();
  const before = snapshots(visitors);
  const result = await deploy(stage, { version: "v3", watch: "30s", fault: "checkout-fails" }, signal);
  const { live, deployment } = await stage.agent.appView();
  const failure = deployment?.failure;
  if (result.exitCode === 0 || failure?.code !== "visitors_failed" || !failure.detail.includes(checkoutPage)) {
    print(result.stdout);
    throw new Error("v3 is broken at the checkout, and was not taken back by its visitors");
  }
  fact(`${styled("bold", "the job failed")} with ${failure.code}. ${failure.unchanged ?? ""}`);
  const untilBack = visitors.checkout.snapshot().failed - before.checkout.failed;
  const failed = await tellMeanwhile(visitors, before, signal);
  fact(`${failed} visitors of ${checkoutPage} got an error, and nobody since the traffic went back`);
  if (failed > untilBack) throw new Error(`${checkoutPage} went on failing when the traffic was back`);
  if (live !== good) throw new Error(`${good} is not live again, but ${live}`);
  if (failed === 0) throw new Error("nobody saw the fault of v3");
}

/** A version with the end of its release's name, which the page shows. */
function onPage(version: Act["version"]): string {
  return `${version} (…-${commitOf(version).slice(0, 7)} on the page)`;
}

function expectLive({ exitCode, stdout, outputs }: ActionResult, version: string, took: number): void {
  if (exitCode !== 0) {
    print(stdout);
    throw new Error(`the deploy of ${version} failed`);
  }
  step(styled("bold", `${version} is live`), `${(took / 1000).toFixed(1)}s`, outputs.release);
}

function tellAct(what: string): void {
  heading(`${what}, with ${rates.site + rates.checkout} requests a second on the site`);
}

function snapshots({ site, checkout }: Visitors) {
  return { site: site.snapshot(), checkout: checkout.snapshot() };
}

/** @returns how many visitors of the checkout got an error, until all that were on their way got an answer */
async function tellMeanwhile(
  visitors: Visitors,
  before: ReturnType<typeof snapshots>,
  signal: AbortSignal,
): Promise<number> {
  await sleep(settleMs, undefined, { signal });
  const { site, checkout } = snapshots(visitors);
  const sent = (site.sent - before.site.sent).toLocaleString("en");
  fact(
    `${sent} requests sent meanwhile, ${counted(site.failed - before.site.failed)}; visitors now see ${site.latest?.version}`,
  );
  return checkout.failed - before.checkout.failed;
}

function counted(failed: number): string {
  return styled(failed === 0 ? "green" : "red", `${failed} failed`);
}

/** @throws Error if a request failed that the broken page does not explain */
export async function summarize({ site, checkout }: Visitors): Promise<void> {
  const reports = { site: await site.stop(), checkout: await checkout.stop() };
  const { sent, failed, kinds, versions } = reports.site;
  heading("All requests together");
  const { p50, p99 } = kinds.get.latency;
  fact(
    `${sent.toLocaleString("en")} sent, ${counted(failed)}; of the quick ones half took up to ${p50.toFixed(1)} ms, 99 % up to ${p99.toFixed(1)} ms`,
  );
  fact(checkoutWords(reports.checkout));
  const mix = Object.entries(kinds).flatMap(([kind, report]) =>
    report.sent === 0 ? [] : [`${report.sent.toLocaleString("en")} ${kind}`],
  );
  fact(styled("dim", `${mix.join(", ")}; half of them on connections of their own, none repeated`));
  const seen = versions.map(({ version, count }) => `${version} ${count.toLocaleString("en")} times`);
  fact(styled("dim", `answered by ${seen.join(", ")}`));
  const unexplained = failureLines(Object.values(reports), ofBrokenPage);
  for (const line of unexplained) fact(styled("red", line));
  if (unexplained.length > 0) throw new Error("a request failed that the broken page does not explain");
}

/** What failed so far and why, when the demo cannot go on. */
export async function tellFailures({ site, checkout }: Visitors): Promise<void> {
  for (const line of failureLines([await site.stop(), await checkout.stop()], () => false)) fact(styled("red", line));
}

function ofBrokenPage({ kind, reason }: FailedRequest): boolean {
  return kind === "page" && reason === "status 500";
}

/** Only v3 can have answered these: v2's were looked at, and they lie close together. */
function checkoutWords({ sent, failures }: LoadReport): string {
  const broken = failures.filter(({ reason }) => reason === "status 500").map(({ at }) => at);
  const seconds = (Math.max(...broken) - Math.min(...broken)) / 1000;
  return `${checkoutPage}, counted apart: ${sent.toLocaleString("en")} sent, ${broken.length} answered 500 by v3, within ${seconds.toFixed(1)} s`;
}
