import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Effect, effects } from "../../agent/effects.ts";
import { agentProgram, node, systemPath } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";
import { type Bind, binds } from "./bundles.ts";
import type { Logged } from "./effect-log.ts";
import { type Strike, TortureHost } from "./host.ts";
import { operations } from "./operations.ts";
import { unreached } from "./points.ts";
import { releaseOf } from "./prober.ts";
import reached from "./reached.json" with { type: "json" };
import { soak } from "./soak.ts";
import { strikeIn } from "./strike.ts";

/** The points at which the site is nearest to being lost. All of them: `npm run torture`. */
const selection: Record<Bind, [operation: string, ...strikes: Strike[]][]> = {
  socket: [
    [
      "deploy",
      { fault: "kill-before", effect: "slots.swap" },
      { fault: "kill-after", effect: "slots.swap" },
      { fault: "kill-before", effect: "durable.rename", time: 3 },
      { fault: "kill-after", effect: "programs.start" },
      { fault: "lose", effect: "programs.remove" },
      { fault: "fail-ENOSPC", effect: "state.write:healthy" },
    ],
    ["other site", { fault: "fail-EIO", effect: "nginx.forget" }, { fault: "fail-EIO", effect: "slots.swap" }],
    ["canary", { fault: "fail-EMFILE", effect: "slots.tidy" }],
    [
      "deploy beside a warm run",
      { fault: "kill-after", effect: "programs.stop" },
      { fault: "fail-EIO", effect: "programs.unlink" },
    ],
    ["abort", { fault: "fail-ENOSPC", effect: "slots.swap" }],
    ["retire", { fault: "fail-EMFILE", effect: "state.write:idle" }],
    ["recovery that undoes", { fault: "kill-after", effect: "release.aside" }],
  ],
  port: [
    [
      "deploy",
      { fault: "kill-before", effect: "nginx.reload" },
      { fault: "kill-after", effect: "nginx.reload" },
      { fault: "fail-EIO", effect: "upstream.write" },
      { fault: "kill-after", effect: "ports.reserve" },
    ],
    ["recovery that finishes", { fault: "kill-before", effect: "programs.remove" }],
  ],
};

test("every effect is reached by an operation of the torture, or a reason says why not", () => {
  const seen = new Set(Object.values(reached).flat());
  expect(effects.filter((effect) => !seen.has(effect))).toEqual(Object.keys(unreached));
  expect(Object.keys(reached)).toEqual(operations.map(({ name }) => name));
});

describe.each(binds)("with instances on a %s", (bind) => {
  let host: TortureHost;
  beforeAll(async () => {
    host = await TortureHost.start(bind);
  });
  afterAll(() => host?.[Symbol.asyncDispose]());

  const points = selection[bind].flatMap(([name, ...strikes]) => strikes.map((strike) => ({ name, ...strike })));
  test.each(points)("$fault $effect in $name: the site serves, nothing is left, the next works", async (point) => {
    const operation = operations.find(({ name }) => name === point.name);
    if (operation === undefined) throw new Error(`no operation ${point.name}`);
    const { struck, faults, requests } = await strikeIn(host, operation, point);
    expect(faults).toEqual([]);
    expect(struck).toBe(true);
    expect(requests).toBeGreaterThan(0);
  });

  const powerCuts: Strike[] = [
    { fault: "kill-after", effect: "programs.write" },
    { fault: "kill-before", effect: bind === "socket" ? "slots.swap" : "nginx.reload" },
    { fault: "kill-after", effect: bind === "socket" ? "slots.swap" : "nginx.reload" },
  ];
  test.each(powerCuts)("a power cut at $fault $effect: the site serves without the agent", async (strike) => {
    const deploy = operations.find(({ name }) => name === "deploy");
    if (deploy === undefined) throw new Error("no deploy");
    expect(await strikeIn(host, deploy, strike, { reboot: true })).toMatchObject({ faults: [], struck: true });
  });

  test("what is written is on the disk before what comes after it counts on it", async () => {
    host.takeEffects();
    await host.deploy();
    const lines = host.takeEffects();
    const at = (when: Logged["when"], effect: Effect, what?: string, from = 0) => {
      const found = lines.findIndex(
        (line, index) =>
          index >= from && line.when === when && line.effect === effect && (what ?? line.what) === line.what,
      );
      expect(found, `${when} ${effect} ${what ?? ""}`).toBeGreaterThanOrEqual(0);
      return found;
    };
    for (const [index, { when, effect, what: path }] of lines.entries()) {
      if (when !== "after" || effect !== "durable.rename") continue;
      // Its bytes before its name, and its name before the write returns.
      expect(at("after", "durable.sync", path)).toBeLessThan(index);
      expect(
        lines.slice(index).some((line) => isAfter(line, "durable.sync-directory") && line.what === dirname(path)),
      ).toBe(true);
    }
    const synced = (directory: string, from: number) => at("after", "durable.sync-directory", directory, from);
    const home = join(host.data, "apps", "shop");
    // The bundle: written, then named, then counted on.
    const renamed = at("after", "release.rename");
    expect(at("after", "bundle.spool")).toBeLessThan(renamed);
    expect(synced(join(home, "releases"), renamed)).toBeLessThan(at("before", "state.write:unpacked"));
    expect(at("after", "release.sync")).toBeLessThan(at("before", "state.write:cutting_over"));
    // What supervisord reads at its next start, before it gets the programs.
    const added = at("before", "programs.add");
    for (const line of lines.filter((each) => isAfter(each, "launch.write"))) {
      expect(at("after", "launch.sync", line.what)).toBeLessThan(added);
    }
    expect(synced(join(home, "run"), at("after", "launch.write"))).toBeLessThan(added);
    expect(at("after", "programs.write")).toBeLessThan(added);
    expect(at("after", "state.write:released")).toBeLessThan(at("before", "programs.start"));
    // The intent, then the links, then the traffic, then that it has moved.
    const intent = at("after", "state.write:cutting_over");
    const published = at("after", "links.publish", undefined, intent);
    expect(intent).toBeLessThan(at("before", "links.publish"));
    if (bind === "socket") {
      const swap = at("before", "slots.swap");
      expect(synced(home, published)).toBeLessThan(swap);
      expect(intent).toBeLessThan(swap);
      const prepared = at("before", "slots.prepare");
      const slots = lines.findIndex(
        (line, index) => index > prepared && isAfter(line, "durable.sync-directory") && /\/slots\.\d+$/.test(line.what),
      );
      expect(slots).toBeGreaterThan(prepared);
      expect(slots).toBeLessThan(swap);
      expect(synced(home, swap)).toBeLessThan(at("before", "state.write:cut_over", undefined, swap));
    } else {
      expect(synced(home, published)).toBeLessThan(at("before", "nginx.reload"));
      expect(intent).toBeLessThan(at("before", "upstream.write"));
      expect(at("after", "nginx.keep")).toBeLessThan(at("before", "upstream.write"));
      expect(at("after", "upstream.write")).toBeLessThan(at("before", "nginx.reload"));
    }
    expect(at("after", "state.write:drained")).toBeLessThan(at("before", "programs.remove"));
  });
});

function isAfter({ when, effect }: Logged, wanted: Effect): boolean {
  return when === "after" && effect === wanted;
}

test("ten deploys under load, one broken and one killed, lose no request and leave nothing", async () => {
  await using host = await TortureHost.start("socket");
  expect(await soak(host, { deploys: 10, rate: 100 })).toBe(true);
}, 120_000);

test("a second agent over the same directory refuses to start, and the first one's site goes on", async () => {
  await using host = await TortureHost.start("socket");
  const { directory, pid } = host.agent;
  const { code, stderr } = await runProgram([agentProgram, "--embedded", directory], {
    env: { PATH: `${dirname(node)}:${systemPath}` },
  });
  expect(code).toBe(1);
  expect(stderr).toContain("Another agent answers");
  expect(host.agent.pid).toBe(pid);
  expect(await releaseOf(host.site)).toBe((await host.state()).live);
  await host.deploy();
});

test("an agent on a real host refuses to start with faults, and says what to do", async () => {
  const { code, stderr } = await runProgram([agentProgram, "--config", "/nonexistent/agent.yml"], {
    env: { PATH: `${dirname(node)}:${systemPath}`, CUTOVER_FAULTS: "/tmp" },
  });
  // A fault of the settings, with which systemd does not try again.
  expect(code).toBe(78);
  expect(stderr).toContain("[host_settings_invalid]");
  expect(stderr).toContain("Remove CUTOVER_FAULTS from the agent's environment.");
});

test("the built agent has the faults in a file of their own, which only an armed agent loads", () => {
  const chunks = readdirSync(dirname(agentProgram)).filter((name) => name.endsWith(".mjs"));
  const holding = chunks.filter((name) =>
    readFileSync(join(dirname(agentProgram), name), "utf8").includes("on purpose, at"),
  );
  expect(holding).toEqual([expect.stringMatching(/^faults-.*\.mjs$/)]);
  const [faults = ""] = holding;
  for (const name of chunks) {
    const text = readFileSync(join(dirname(agentProgram), name), "utf8");
    expect(text, `${name} imports it at its start`).not.toMatch(new RegExp(`^import [^\n]*"./${faults}"`, "m"));
  }
});
