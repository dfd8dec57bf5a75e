import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyStack } from "../fixtures/stacks.ts";
import type { ActionResult } from "../harness/action.ts";
import { agentProgram, node } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";
import type { Load } from "../load/load.ts";
import { startLoadProcess } from "../load/process.ts";
import { describeReport, type LoadReport } from "../load/report.ts";
import { debian } from "./debian.ts";
import { labImpossible } from "./lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { type LabStack, labStacks, nameOf } from "./lab-stacks.ts";

const minutes = 60_000;
const slowMs = 1000;
/** That each comes up is what counts here, on a machine that has five to start at once, and other tests. */
const patient = { watch: "1s", health: { timeout: "180s" } } as const;
const clients = new URL("../load/clients.ts", import.meta.url).href;
const cutover = join(agentProgram, "../cutover.mjs");

const release = debian("13");
/** It takes minutes on a busy machine, so only when CUTOVER_LAB_STACKS=1 asks for it; the set-up then fetches the servers. */
const asked = process.env.CUTOVER_LAB_STACKS === "1" && labImpossible(release) === undefined;

describe.skipIf(!asked)("five stacks on one Debian 13 host", () => {
  let fleet: LabFleet;
  let key: string;
  const scratch = new Scratch("lab-stacks");
  const host = () => fleet.hosts[0] as LabHost;
  const gray = labStacks.find(({ app }) => app === "gray") as LabStack;
  let loads: Load[] = [];

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { debian: release, stacks: true });
    key = await fleet.keyFile();
    await fleet.install(host(), await fleet.package());
    await fleet.writeAgentYml(host());
    await host().check("systemctl", "restart", "cutover-agent");
    for (const one of labStacks) {
      const site = ["--listen", String(one.port), "--domain", nameOf(one), ...(one.settings ?? [])];
      await fleet.addApp(host(), one.app, ...site);
    }
    await host().check("sh", "-c", "echo 'preview: [12001]' >>/etc/cutover/apps/gray.yml");
  }, 5 * minutes);
  afterAll(async () => {
    await Promise.all(loads.map((load) => load.stop().catch(() => undefined)));
    await fleet?.[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
  });

  /** By the built Action. @param inputs what the workflow's step says besides the hosts */
  async function act(one: LabStack, version: string, inputs: Record<string, string> = {}): Promise<ActionResult> {
    const cwd = join(scratch.path, one.app);
    await mkdir(cwd, { recursive: true });
    await copyStack(cwd, one.stack, { version, config: { app: one.app, ...patient, ...one.config } });
    const done = await fleet.startAction({ cwd, inputs }).result;
    expect(done.exitCode, done.stdout).toBe(0);
    return done;
  }

  const versionOf = async (one: LabStack, port = one.port) => {
    const { status, text } = await fleet.get(host(), "/version", { port, name: nameOf(one) });
    expect(status, text).toBe(200);
    return text.split(" ")[0];
  };
  const versions = () => Promise.all(labStacks.map((one) => versionOf(one)));
  const all = (what: string) => labStacks.map(() => what);

  /** What curl printed, as one who is not on the host types it; `$HOST` and `token` are those of agent/http/README.md. */
  async function curl(app: string, ...words: string[]): Promise<unknown> {
    const token = `token() { ${node} ${cutover} token --key ${key} --host "$HOST" --app ${app} --header "$@"; }`;
    const script = `set -e; HOST=${host().address}:7070; ${token}\ncurl -sS ${words.join(" ")}`;
    const { code, stdout, stderr } = await runProgram([...fleet.lab.namespaces.inNetwork, "sh", "-c", script]);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  }

  /** The same on the host, over the admin socket. */
  async function curlHere(...words: string[]): Promise<unknown> {
    return JSON.parse(await host().check("curl", "-sS", "--unix-socket", "/run/cutover/agent.sock", ...words));
  }

  /** Requests to each site at fixed times, from new connections: a reload, which instances on ports need, closes kept ones. */
  function visitAll(rate: number): Promise<Load[]> {
    return Promise.all(
      labStacks.map((one) => {
        const options = { rate, fresh: 1, slowMs, timeoutMs: 60_000, host: nameOf(one) };
        const url = `http://${host().address}:${one.port}`;
        return startLoadProcess({ url, ...options }, fleet.lab.namespaces.inNetwork);
      }),
    );
  }

  /** Which version visitors of many networks get from the gray site. */
  async function visitors(): Promise<Map<number, string>> {
    const script = `import { askAsClients } from ${JSON.stringify(clients)};
      console.log(JSON.stringify([...(await askAsClients("http://127.0.0.1:${gray.port}", "${nameOf(gray)}", 400))]));`;
    const inHost = ["nsenter", `--net=/proc/${host().firstProcess}/ns/net`, "--"];
    const { code, stdout, stderr } = await runProgram([...inHost, node, "--input-type=module", "-e", script]);
    expect(code, stderr).toBe(0);
    return new Map(JSON.parse(stdout) as [number, string][]);
  }

  test(
    "are brought there by the built Action at the same time",
    async () => {
      await Promise.all(labStacks.map((one) => act(one, "v1")));
      expect(await versions()).toEqual(all("v1"));
      const styled = await Promise.all(
        labStacks.map((one) => fleet.get(host(), "/static/site.css", { port: one.port, name: nameOf(one) })),
      );
      expect(styled.map(({ status }) => status)).toEqual(labStacks.map(() => 200));
      loads = await visitAll(20);
    },
    5 * minutes,
  );

  test(
    "change to a new version at the same time: four by a canary, one by hand, on which each visitor stays",
    async () => {
      const others = labStacks.filter((one) => one !== gray);
      await Promise.all([byHand(), ...others.map((one) => act(one, "v2", { canary: "25@1s, 100" }))]);
      expect(await versions()).toEqual(all("v2"));
    },
    5 * minutes,
  );

  /** The gray release, looked at before it has visitors; whoever has come to it stays. */
  async function byHand(): Promise<void> {
    const staged = (await act(gray, "v2", { command: "stage" })).outputs.release ?? "";
    expect([await versionOf(gray), await versionOf(gray, 12_001)]).toEqual(["v1", "v2"]);
    await act(gray, "v2", { command: "activate", release: staged, weight: "50" });
    const half = await visitors();
    const moved = [...half].filter(([, version]) => version === "v2").map(([client]) => client);
    expect(Math.abs(moved.length - half.size / 2)).toBeLessThan(half.size / 10);
    await act(gray, "v2", { command: "activate", release: staged, weight: "75" });
    const more = await visitors();
    expect(moved.filter((client) => more.get(client) !== "v2")).toEqual([]);
    await act(gray, "v2", { command: "activate", release: staged });
  }

  test(
    "go back by curl on the host, start again by curl with a token, and no request has failed by then",
    async () => {
      const rolledBack = labStacks.map(async ({ app }) => {
        const { deployment } = (await curlHere("-X", "POST", `http://agent/v1/apps/${app}/rollback`)) as Begun;
        return ended(() => curlHere(`http://agent/v1/deployments/${deployment}?wait=60`));
      });
      expect(await Promise.all(rolledBack)).toEqual(all("succeeded"));
      expect(await versions()).toEqual(all("v1"));
      const redeployed = labStacks.map(async ({ app }) => {
        const begun = await curl(app, `-H "$(token redeploy)" -X POST "http://$HOST/v1/apps/${app}/redeploy"`);
        return ended(() => curl(app, `"http://$HOST/v1/deployments/${(begun as Begun).deployment}?wait=60"`));
      });
      expect(await Promise.all(redeployed)).toEqual(all("succeeded"));
      expect(await versions()).toEqual(all("v1"));
      for (const [index, load] of loads.entries()) {
        const report = await load.stop();
        const said = `${labStacks[index]?.app}: ${describeReport(report)}`;
        process.stdout.write(`${said}\n`);
        expect(report.failures.slice(0, 5), said).toEqual([]);
        expect(report.ok).toBeGreaterThan(200);
        expect(new Set(report.versions.map(({ version }) => version))).toEqual(new Set(["v1", "v2"]));
      }
    },
    5 * minutes,
  );

  test(
    "come back after a reboot, and no request fails but while the host is down",
    async () => {
      // Those of a test before that failed would come on top.
      await Promise.all(loads.map((load) => load.stop()));
      // So few that the report has all that fail while it is off.
      loads = await visitAll(5);
      await sleep(3000);
      const left = Date.now();
      await host().shutDown();
      const off = Date.now();
      await host().boot();
      const before = loads.map((load) => load.snapshot().ok);
      const answered = () => loads.filter((load, index) => load.snapshot().ok > (before[index] ?? 0) + 10).length;
      await expect.poll(answered, { timeout: minutes }).toBe(loads.length);
      await sleep(3000);
      for (const [index, load] of loads.entries()) {
        const report = await load.stop();
        const back = firstAnswer(report, off);
        const took = Math.round(back - left);
        const said = `${labStacks[index]?.app}: ${describeReport(report)}; answered again ${took} ms after the order to reboot`;
        process.stdout.write(`${said}\n`);
        // Slow ones that were under way are cut by the reboot too.
        const failures = report.failures.filter(({ at }) => {
          const due = report.started + at;
          return due < left - 2 * slowMs || due >= back;
        });
        expect(failures.slice(0, 5), said).toEqual([]);
        expect(report.failures).toHaveLength(report.failed);
        expect(report.ok).toBeGreaterThan(10);
      }
      expect((await host().run("systemctl", "--failed", "--no-legend")).stdout).toBe("");
      expect(await versions()).toEqual(all("v1"));
    },
    5 * minutes,
  );
});

interface Begun {
  deployment: string;
}

/** How a deployment ended; each look waits for a while. */
async function ended(look: () => Promise<unknown>): Promise<string> {
  for (;;) {
    const { outcome, failure } = (await look()) as { outcome: string; failure?: { code: string; detail: string } };
    if (outcome !== "running") return failure ? `${outcome}: ${failure.code} ${failure.detail}` : outcome;
  }
}

/** When the host answered for the first time after this: a request may wait through a whole boot for that. */
function firstAnswer({ started, samples }: LoadReport, after: number): number {
  const each = Object.values(samples).flatMap(({ at, ms }) => at.map((due, index) => [due, ms[index] ?? 0] as const));
  return Math.min(...each.filter(([due]) => started + due > after).map(([due, took]) => started + due + took));
}
