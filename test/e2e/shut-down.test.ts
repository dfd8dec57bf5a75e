import { readdirSync, readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { calls } from "../../shared/protocol.ts";
import { quickShop, type ShopOptions } from "../fixtures/shop.ts";
import { type RunningAction, startAction } from "../harness/action.ts";
import { startLoadProcess } from "../load/process.ts";
import { lineSeen } from "./bad-host.ts";
import { Fleet, siteName, versionOf } from "./hosts.ts";

/**
 * As on a real host: nginx and supervisord are not the agent's own and go on without it. The agent is asked to end, and one of
 * another version takes its place.
 */
let fleet: Fleet;
const quick: NonNullable<ShopOptions["config"]> = {
  ...quickShop,
  server: { ...quickShop.server, threads: 8 },
  keep_warm: "0s",
};

beforeAll(async () => {
  fleet = await Fleet.start(1);
  await fleet.deploy({ version: "v1", config: quick });
  await host().agent.startAsOnHost("games");
  await fleet.deploy({ version: "v2", config: quick });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

function shared(name: string): string {
  return join(host().agent.directory, "data/apps/shop/shared", name);
}

let upgrades = 0;

/** @returns how long the old one took to end, in milliseconds */
async function upgrade(): Promise<number> {
  const { agent } = host();
  upgrades++;
  const asked = performance.now();
  expect(await agent.end("SIGTERM")).toBe(0);
  const took = performance.now() - asked;
  await agent.startAgain(`9.0.${upgrades}`);
  const answer = await fetch(`${agent.url}/healthz`);
  expect(calls.health.answer.parse(await answer.json()).version).toBe(`9.0.${upgrades}`);
  return took;
}

async function begin(options: ShopOptions, onLine: (line: string) => void) {
  await fleet.checkout({ ...options, config: { ...quick, ...options.config } });
  const { agent, key } = host();
  return startAction({ inputs: { hosts: agent.url, "signing-key": key.privatePem }, cwd: fleet.workspace, onLine });
}

async function failedEarly({ result }: RunningAction): Promise<never> {
  throw new Error((await result).stdout);
}

/** Tells each time that it ran, and what it found of itself. */
const script = (seconds: number) =>
  `import os, time; open(os.environ['CUTOVER_SHARED'] + '/ran', 'a').write('x'); print('begins', flush=True); time.sleep(${seconds})`;

describe("upgrading the agent while an app is live costs no request", () => {
  const moments: [string, ShopOptions, string][] = [
    ["the release command", { config: { release: { command: ["python", "-c", script(1.5)] } } }, "release | begins"],
    ["the health check", { fault: "answers-500-until-ready" }, "waiting for 200-399"],
    ["the watch after the cutover", { config: { watch: "3s" } }, "is watched for 3s"],
  ];

  it("also in the middle of a deploy, which goes on, and whose job is green", async () => {
    const { agent, site } = host();
    const load = await startLoadProcess({ url: site, host: siteName, rate: 100, slowMs: 1000 });
    try {
      const before = await agent.appView();
      await upgrade();
      expect((await agent.appView()).instances).toMatchObject(before.instances.map(({ pid, run }) => ({ pid, run })));
      for (const [index, [moment, options, line]] of moments.entries()) {
        const version = `v${index + 3}`;
        for (const name of ["ran", "ready"]) await rm(shared(name), { force: true });
        const { onLine, seen } = lineSeen(line);
        const action = await begin({ version, ...options }, onLine);
        await Promise.race([seen, failedEarly(action)]);
        expect(await upgrade(), moment).toBeLessThan(10_000);
        await writeFile(shared("ready"), "");
        const result = await action.result;
        expect(result.exitCode, `${moment}: ${result.stdout}`).toBe(0);
        expect(result.annotations).toEqual([]);
        expect(result.stdout).toContain("The agent is back; the deployment goes on");
        expect(await versionOf(site)).toMatchObject({ version, release: result.outputs.release });
        expect(await agent.appView()).toMatchObject({ live: result.outputs.release, staged: null, warm: null });
        if (moment === "the release command") expect(await readFile(shared("ran"), "utf8")).toBe("x");
      }
    } finally {
      await load.stop();
    }
    const report = await load.stop();
    expect(report.failures, JSON.stringify(report.failures.slice(0, 5))).toEqual([]);
    expect(report.sent).toBeGreaterThan(500);
    expect(report.versions.map(({ version }) => version)).toEqual(["v2", "v3", "v4", "v5"]);
  }, 180_000);
});

describe("an agent that is asked to end", () => {
  it("waits for a release command only for a while, ends it, and undoes with the reason: it never runs twice", async () => {
    const { agent, site } = host();
    const before = await versionOf(site);
    // Seen from here: its own view of process ids may be another one.
    const mark = `only-in-this-command-${process.pid}`;
    const marked = `"${mark}"; ${script(600)}`;
    await rm(shared("ran"), { force: true });
    const { onLine, seen } = lineSeen("release | begins");
    const action = await begin({ version: "v9", config: { release: { command: ["python", "-c", marked] } } }, onLine);
    await Promise.race([seen, failedEarly(action)]);
    expect(withWord(mark)).not.toEqual([]);
    expect(await upgrade()).toBeLessThan(10_000);
    expect(withWord(mark)).toEqual([]);
    const { exitCode, annotations } = await action.result;
    expect(exitCode).toBe(1);
    expect(annotations.map(({ title }) => title).join()).toContain("release_command_failed");
    expect(annotations[0]?.message).toContain("the release command did not end within 4s: the agent ended it");
    expect(annotations[0]?.message).toContain("What the command did until then is not undone");
    expect(await readFile(shared("ran"), "utf8")).toBe("x");
    expect((await versionOf(site)).release).toBe(before.release);
    expect((await agent.appView()).releases.find(({ id }) => id > before.release)?.state).toBe("failed");
  });
});

/** Processes that have a text among the words that they were started with. */
function withWord(text: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  });
}
