import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { appLayout } from "../../agent/host/store/layout.ts";
import type { ActionResult, RunningAction } from "../harness/action.ts";
import { BadHost, lineSeen } from "./bad-host.ts";
import { expectFailedHost } from "./bad-result.ts";
import { versionSeen } from "./host-snapshot.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "bad" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** A deploy that stands in its release command until it is told to go on. */
async function beginHeld(version: string): Promise<{ action: RunningAction; goOn: () => Promise<void> }> {
  const flag = join(appLayout(embeddedLayout(host.agent.directory).data, "shop").shared, version);
  const exists = `os.path.exists(os.path.join(os.environ["CUTOVER_SHARED"], "${version}"))`;
  // One process all the time: what a shell starts would come and go between two looks at the host.
  const script = `import os, time; print("held", flush=True); [time.sleep(0.05) for _ in iter(lambda: ${exists}, True)]`;
  const project = await host.project({ version, config: { release: { command: ["python", "-c", script] } } });
  const { onLine, seen } = lineSeen("release | held");
  const action = host.begin(project, { onLine });
  await seen;
  return { action, goOn: () => writeFile(flag, "") };
}

function expectSuccess({ exitCode, stdout }: ActionResult): void {
  expect.soft(exitCode, stdout).toBe(0);
}

describe("of two deployments at once", () => {
  it("the second is told who holds the app, and changes nothing", async () => {
    const { action: first, goOn } = await beginHeld("v2");
    const project = await host.project({ version: "v3" });
    const second = await host.unchangedBy(() => host.run(project)).finally(goOn);
    expectFailedHost(second, host.name, {
      code: "deployment_in_progress",
      says: [
        /shop is held by deploy \S+ of octocat\/shop@refs\/heads\/main/,
        "(https://github.com/octocat/shop/actions/runs/4711), since 20",
        "input `wait` of the Action",
      ],
    });
    expectSuccess(await first.result);
    expect(await versionSeen(host.site)).toContain(" v2 ");
  });

  it("the second waits when the input `wait` asks for it, and goes through", async () => {
    const { action: first, goOn } = await beginHeld("v4");
    const order: string[] = [];
    const { onLine, seen } = lineSeen("Packed ");
    const project = await host.project({ version: "v5" });
    const second = host.begin(project, { inputs: { wait: "60s" }, onLine });
    const ends = [
      first.result.finally(() => order.push("first")),
      second.result.finally(() => order.push("second")),
    ] as const;
    await seen;
    await sleep(1000);
    expect(order).toEqual([]);
    await goOn();
    for (const end of ends) expectSuccess(await end);
    expect(order).toEqual(["first", "second"]);
    expect(await versionSeen(host.site)).toContain(" v5 ");
  });
});
