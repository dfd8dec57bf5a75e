import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { childrenOf } from "../../agent/host/exec/processes.ts";
import { quickShop } from "../fixtures/shop.ts";
import { freePorts } from "../harness/ports.ts";
import { askAsClients, shareOf } from "../load/clients.ts";
import { startLoadProcess } from "../load/process.ts";
import { Fleet, get, siteName, staticFilesOf, versionOf } from "./hosts.ts";

/** Ten thousand requests and more in each test, all of which are awaited, take as long as the machine needs: this finds only what hangs. */
const timeout = 240_000;

describe("a gray release: old and new code side by side on one host", { timeout }, () => {
  let fleet: Fleet;
  let preview: number;
  const host = () => {
    const [first] = fleet.hosts;
    if (first === undefined) throw new Error("no host");
    return first;
  };
  const gray = (balance: "round_robin" | "ip_hash") => ({
    keep_warm: "0s",
    site: { balance, preview: { listen: `127.0.0.1:${preview}`, cookie: "preview=blue" } },
  });
  /** Its workers are others after a reload. */
  const nginxWorkers = async () => (await childrenOf(await host().agent.nginxPid())).toSorted();
  const activate = async (release: string, weight: number) => {
    const { exitCode, stdout } = await fleet.action({ command: "activate", release, weight: String(weight) });
    expect(exitCode, stdout).toBe(0);
  };

  beforeAll(async () => {
    [preview = 0] = await freePorts(1);
    const { python, release } = quickShop;
    fleet = await Fleet.start(1, { settings: { preview: [`127.0.0.1:${preview}`] }, shop: { python, release } });
    await fleet.deploy({ version: "v1", config: gray("ip_hash") });
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  test("is looked at on its own address and by cookie, rises under ip_hash, and takes nobody back", async () => {
    const { agent, site } = host();
    const { outputs } = await fleet.deploy({ version: "v2", config: gray("ip_hash") }, { command: "stage" });
    const release = outputs.release ?? "";
    expect((await versionOf(`http://127.0.0.1:${preview}`)).version).toBe("v2");
    expect((await versionOf(site)).version).toBe("v1");
    const asInsider = await fetch(`${site}/version`, { headers: { cookie: "preview=blue" } });
    expect(await asInsider.text()).toMatch(/^v2 /);
    const asOther = await fetch(`${site}/version`, { headers: { cookie: "preview=green" } });
    expect(await asOther.text()).toMatch(/^v1 /);
    const oldFiles = await staticFilesOf(site);
    const newFiles = await staticFilesOf(`http://127.0.0.1:${preview}`);
    expect(newFiles).not.toEqual(oldFiles);
    for (const path of [...oldFiles, ...newFiles]) {
      expect((await get(`http://127.0.0.1:${preview}`, path)).status, path).toBe(200);
    }

    const workers = await nginxWorkers();
    const load = await startLoadProcess({ url: site, host: siteName, rate: 50 });
    const seen: Map<number, string>[] = [];
    try {
      for (const weight of [5, 25, 50, 100]) {
        await activate(release, weight);
        const answers = await askAsClients(site, siteName, 2500);
        expect(Math.abs(shareOf(answers, "v2") - weight), `at ${weight} %`).toBeLessThanOrEqual(2);
        seen.push(answers);
        for (const path of [...oldFiles, ...newFiles]) expect((await get(site, path)).status, path).toBe(200);
      }
    } finally {
      expect((await load.stop()).failures).toEqual([]);
    }
    for (const [step, before] of seen.slice(0, -1).entries()) {
      const after = seen[step + 1];
      const back = [...before].filter(([client, version]) => version === "v2" && after?.get(client) !== "v2");
      expect(back).toEqual([]);
    }
    expect(await nginxWorkers()).toEqual(workers);
    expect(await agent.appView()).toMatchObject({ live: release, staged: null, weight: 0 });
  });

  test("has its share of 10,000 requests within 2 points, and an abort ends it without a failed request", async () => {
    const { agent, site } = host();
    await fleet.deploy({ version: "v3", config: gray("round_robin") });
    const { outputs } = await fleet.deploy({ version: "v4", config: gray("round_robin") }, { command: "stage" });
    await activate(outputs.release ?? "", 25);
    expect((await agent.cutover("status", "shop")).stdout).toContain("with 25 % of the traffic");
    const load = await startLoadProcess({ url: site, host: siteName, rate: 50 });
    try {
      const answers = await askAsClients(site, siteName, 10_000);
      expect(Math.abs(shareOf(answers, "v4") - 25)).toBeLessThanOrEqual(2);
      const { code, stdout } = await agent.cutover("abort", "shop");
      expect(code, stdout).toBe(0);
      expect(shareOf(await askAsClients(site, siteName, 500), "v3")).toBe(100);
    } finally {
      expect((await load.stop()).failures).toEqual([]);
    }
    expect(await agent.appView()).toMatchObject({ staged: null, weight: 0 });
  });

  test("is done in steps by one workflow step, which goes back when its check fails", async () => {
    const { site } = host();
    const before = await versionOf(site);
    await fleet.checkout({ version: "v5", config: gray("round_robin") });
    const steps = { canary: "5@100ms, 50@100ms, 100", "canary-check": `sh -c 'test "$CUTOVER_WEIGHT" -lt 50'` };
    const load = await startLoadProcess({ url: site, host: siteName, rate: 50 });
    try {
      const refused = await fleet.action(steps);
      expect(refused.exitCode).toBe(1);
      expect(refused.stdout).toContain("canary_failed");
      expect((await versionOf(site)).version).toBe(before.version);
      expect(shareOf(await askAsClients(site, siteName, 300), before.version)).toBe(100);

      const passed = await fleet.action({ ...steps, "canary-check": "true" });
      expect(passed.exitCode, passed.stdout).toBe(0);
      expect(passed.stdout).toMatch(/has 5 % of the traffic, for 0\.1 s[\s\S]*has 50 % of the traffic, for 0\.1 s/);
      expect((await versionOf(site)).version).toBe("v5");
    } finally {
      expect((await load.stop()).failures).toEqual([]);
    }
  });
});
