import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quickShop } from "../fixtures/shop.ts";
import { freePortRange } from "../harness/ports.ts";
import { BadHost, lineSeen } from "./bad-host.ts";
import { expectFailedHost } from "./bad-result.ts";
import { versionOf } from "./hosts.ts";
import { steadyVisitors } from "./steady-visitors.ts";

let host: BadHost;
let visitors: AsyncDisposable;

beforeAll(async () => {
  host = await BadHost.start({ name: "visitors" });
  // nginx and supervisord go on without the agent.
  await host.agent.changeAppSettings("shop", { ports: await freePortRange(8) });
  await host.agent.startAsOnHost("games");
  await host.run(await host.project({ version: "v1", config: { watch: "0s" } }));
  visitors = steadyVisitors(host.site);
  // What the first of these releases is compared with.
  await sleep(8000);
});
afterAll(async () => {
  await visitors?.[Symbol.asyncDispose]();
  await host?.[Symbol.asyncDispose]();
});

async function liveVersion(): Promise<string> {
  return (await versionOf(host.site)).version;
}

/** When the traffic went back after the cutover, in seconds. */
async function secondsUntilBack(): Promise<number> {
  const { deployment } = await host.agent.appView();
  const answer = await fetch(`${host.agent.url}/v1/deployments/${deployment?.id}/events`);
  const events = (await answer.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const at = (found: (event: { state?: string; message?: string }) => boolean) =>
    Date.parse(events.find(found)?.at ?? "");
  const back = at(({ message }) => message?.includes("all of the traffic again") === true);
  return (back - at(({ state }) => state === "cut_over")) / 1000;
}

test("a release that is as good as the one before stays", async () => {
  const { exitCode, stdout } = await host.run(await host.project({ version: "v2", config: { watch: "6s" } }));
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toMatch(/is judged by its visitors, and (?:not found|no) worse: 0\.0 % of \d+ requests answered 5xx/);
  expect(await liveVersion()).toBe("v2");
});

test("a release that fails on one page is taken back by its visitors, and the job names the page: uwsgi", async () => {
  const before = await host.agent.appView();
  const server = { ...quickShop.server, kind: "uwsgi" } as const;
  const config = { server, watch: "60s" };
  const result = await host.run(await host.project({ version: "v3", fault: "one-page-fails", config }));
  expectFailedHost(result, host.name, {
    code: "visitors_failed",
    says: [
      /\d\.\d % of \d+ requests of its visitors answered 5xx; before: 0\.0 % of [\d,]+\. Most of them: \/env/,
      `went back to ${before.live}`,
    ],
    log: [/\d+ \/env/, "RuntimeError: The till is empty"],
  });
  expect(await secondsUntilBack()).toBeLessThan(30);
  expect(await liveVersion()).toBe("v2");
  expect(await host.agent.appView()).toMatchObject({ live: before.live, warm: null, staged: null });
});

test("so is one three times as slow, also if the agent is restarted in the middle: on ports", async () => {
  const { onLine, seen } = lineSeen("is watched for 60s");
  const server = { ...quickShop.server, bind: "port" } as const;
  const config = { server, watch: "60s" };
  const project = await host.project({ version: "v4", fault: "three-times-as-slow", config });
  const { result } = host.begin(project, { onLine });
  await seen;
  await sleep(2000);
  await host.agent.end();
  await host.agent.startAgain();
  expectFailedHost(await result, host.name, {
    code: "visitors_failed",
    says: [/its visitors waited too long in \d+ requests: p50 \d+ ms, p95 \d+ ms; before: p50 \d+ ms/],
    log: [],
  });
  expect(await secondsUntilBack()).toBeLessThan(30);
  expect(await liveVersion()).toBe("v2");
});

test("a canary that is slower than the live release at the same time is taken back while the job waits", async () => {
  const project = await host.project({ version: "v5", fault: "three-times-as-slow" });
  const result = await host.run(project, { inputs: { canary: "50@2m, 100" } });
  expectFailedHost(result, host.name, {
    code: "visitors_failed",
    says: [
      /The canary \S+ failed its visitors: .* p50 \d+ ms, p95 \d+ ms; the live release at the same time: p50 \d+ ms/,
    ],
  });
  expect(await liveVersion()).toBe("v2");
  // The job does not wait until the canary is drained.
  await expect.poll(() => host.agent.appView()).toMatchObject({ staged: null, weight: 0 });
});

test("`canary: auto` brings a quicker one live, and says what was seen at each step", async () => {
  const project = await host.project({ version: "v6", fault: "quicker", config: { watch: "6s" } });
  const { exitCode, stdout } = await host.run(project, { inputs: { canary: "auto@4s" } });
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toMatch(
    /has 1 % of the traffic, for at most 4 s\.\n[\s\S]*: \S+ is not judged by its visitors: it had \d+ requests/,
  );
  expect(stdout).toMatch(/has 50 % of the traffic[\s\S]*is judged by its visitors, and n/);
  expect(await liveVersion()).toBe("v6");
});
