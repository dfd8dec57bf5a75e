import { join } from "node:path";
import { expect, test } from "vitest";
import { checkFailed, raiseCanary } from "../../../action/hosts/canary.ts";
import { deployAll } from "../../../action/hosts/rollout.ts";
import { inPhase } from "../../../action/job.ts";
import { newJobReport } from "../../../action/report/job-report.ts";
import { publish } from "../../../action/report/publish.ts";
import { Log } from "../../../action/runner/log.ts";
import { asCutoverError } from "../../../shared/errors.ts";
import type { FakeAgentOptions } from "../../fakes/agent.ts";
import { fleetWith } from "../hosts/fleet.ts";
import { jobIn } from "../job-in.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { never, Workspace } from "../workspace.ts";

/** Log and summary of four jobs, as files that people can read. `npx vitest -u` writes them anew after a change of words. */

const before = "20261120T090000Z-1111111";
const traceback = (pid: number) => `[2026-11-26 21:14:58 +0000] [${pid}] [ERROR] Error handling request /
Traceback (most recent call last):
  File "/srv/app/shop/views.py", line 12, in home
    raise RuntimeError("boom")
RuntimeError: boom
[2026-11-26 21:14:59 +0000] [${pid}] [ERROR] Error handling request /
Traceback (most recent call last):
  File "/srv/app/shop/views.py", line 12, in home
    raise RuntimeError("boom")
RuntimeError: boom`;
const unwell: FakeAgentOptions["failAt"] = {
  kind: "deploy",
  state: "healthy",
  failure: {
    code: "health_failed",
    detail:
      "web-0 answered 500 to GET / with Host shop.example.com; expected 200-399. RuntimeError: boom (shop/views.py:12).",
    unchanged: "The live release goes on serving; the new instances were stopped and removed.",
    fix: "Correct shop/views.py, line 12, and deploy again.",
    evidence: [
      { source: "response of web-0", text: "<h1>Server Error (500)</h1>" },
      { source: "web-0", text: traceback(4711) },
      { source: "web-1", text: traceback(4712) },
    ],
  },
};

/** Writes what the runner would print, with its commands, into one list. */
class Transcript extends RecordedConsole {
  readonly all: string[] = [];

  override info(message: string): void {
    super.info(message);
    this.all.push(message);
  }

  override startGroup(name: string): void {
    super.startGroup(name);
    this.all.push(`::group::${name}`);
  }

  override endGroup(): void {
    super.endGroup();
    this.all.push("::endgroup::");
  }
}

interface Story {
  agents: FakeAgentOptions[];
  /** The command in canary-check fails. */
  canary?: boolean;
  /** Of hosts that work at the same time only the end is always the same. */
  endOnly?: boolean;
}

async function told({ agents, canary = false, endOnly = false }: Story): Promise<{ log: string; summary: string }> {
  using space = new Workspace();
  const console = new Transcript();
  const log = new Log(console);
  const { hosts, bundle } = await fleetWith(console, ...agents);
  const report = { ...newJobReport("deploy", Date.now()), app: "shop", release: bundle.release };
  Object.assign(report, { url: "https://shop.example.com", hosts: hosts.map((host) => host.report) });
  const job = { ...jobIn(space), report };
  await inPhase({ ...job, effects: { ...job.effects, log } }, "pack", async () => undefined);
  const raise = () =>
    raiseCanary(hosts, {
      ...{ release: bundle.release, steps: [{ weight: 25, holdMs: 0 }], signal: never },
      say: (line) => log.line(line),
      check: async (weight) => {
        throw checkFailed(weight, "It ended with exit code 1.", "12 of 200 orders failed");
      },
    });
  try {
    await deployAll(hosts, { bundle, releaseCommand: true, signal: never, ...(canary && { raise }) });
  } catch (thrown) {
    Object.assign(report, { failure: asCutoverError(thrown) });
  }
  const start = endOnly ? console.all.length : 0;
  let summary = "";
  const writeSummary = async (text: string) => {
    summary = text;
  };
  await publish(report, log, { setOutput: () => undefined, writeSummary });
  const names = hosts.map(({ report: { host } }) => host);
  return { log: plain(console.all.slice(start), names), summary: plain(summary.split("\n"), names) };
}

/** Without what is different each time. */
function plain(lines: string[], hosts: string[]): string {
  const named = lines
    .filter((line) => !/^::(?:stop-commands::)?[0-9a-f-]{36}(?:::)?$/.test(line))
    .join("\n")
    .replace(/\b\d+(?:\.\d+)?m?s\b/g, "TIME")
    .replace(/\b[\d.]+ [kM]?B\b/g, "SIZE")
    .replace(/:\d+, \d+$/gm, ":0, 1");
  return hosts.reduce((text, host, index) => {
    const [address = "", port = ""] = host.split(":");
    return text.replace(new RegExp(`${address}(:|&#58;| )${port}`, "g"), `web${index + 1}$17070`);
  }, `${named.trimEnd()}\n`);
}

test.each<[string, Story]>([
  ["good", { agents: [{ before, cut: 0, output: ["Collecting django"] }] }],
  ["failed", { agents: [{ before, failAt: unwell }] }],
  ["three-hosts", { agents: [{ before }, { before, failAt: unwell }, { before }], endOnly: true }],
  ["canary", { agents: [{ before }], canary: true }],
])("the log and the summary of a job: %s", async (name, story) => {
  const { log, summary } = await told(story);
  const file = (ending: string) => join(import.meta.dirname, `../../fixtures/reports/${name}.${ending}`);
  const settled = story.endOnly === true ? summary.replace(/\n```mermaid[\s\S]*?```\n/, "") : summary;
  await expect(log).toMatchFileSnapshot(file("log"));
  await expect(settled).toMatchFileSnapshot(file("summary"));
});
