import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import type { ShopOptions } from "../fixtures/shop.ts";
import type { ActionResult } from "../harness/action.ts";
import { freePorts } from "../harness/ports.ts";
import { BadHost, lineSeen, watchSite } from "./bad-host.ts";
import { HoldingProxy } from "./bad-proxy.ts";
import { expectFailedHost, resultOf } from "./bad-result.ts";
import { snapshotHost, versionSeen } from "./host-snapshot.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "bad" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** Answers, but is never well: it is in its health check for as long as the test needs. */
const unwell: ShopOptions = {
  version: "v2",
  fault: "answers-500",
  config: { health: { path: "/", host: "shop.example.com", timeout: "60s" } },
};

async function expectDeploys(version: string): Promise<void> {
  const { exitCode, stdout } = await host.run(await host.project({ version }));
  expect(exitCode, stdout).toBe(0);
  expect(await versionSeen(host.site)).toContain(` ${version} `);
}

function expectCancelled(result: ActionResult, name = host.name): void {
  expect.soft(result.exitCode).toBe(1);
  expect.soft(resultOf(result)[name]).toMatchObject({ outcome: "aborted" });
  expect.soft(resultOf(result)[name]?.note).toBeUndefined();
  expect
    .soft(result.annotations.map(({ message }) => message))
    .toEqual([expect.stringContaining("The job was cancelled.")]);
  expect.soft(result.summary).toContain("<b>aborted</b>");
}

describe("a job that is cancelled", () => {
  it("during the health check leaves nothing", async () => {
    const project = await host.project(unwell);
    const result = await host.unchangedBy(async () => {
      const { onLine, seen } = lineSeen("waiting for 200-399");
      const action = host.begin(project, { onLine });
      await seen;
      return action.cancel();
    });
    expectCancelled(result);
  });

  it("while an instance does not even answer leaves nothing", async () => {
    const project = await host.project({ ...unwell, fault: "never-answers" });
    const result = await host.unchangedBy(async () => {
      const { onLine, seen } = lineSeen("start the instances (");
      const action = host.begin(project, { onLine });
      await seen;
      return action.cancel();
    });
    expectCancelled(result);
  });

  it("between the upload's last byte and the answer leaves nothing", async () => {
    const [port = 0] = await freePorts(1);
    const proxy = new HoldingProxy(port, Number(new URL(host.agent.url).port));
    await using _ = proxy;
    await proxy.listen();
    const through = `127.0.0.1:${port}`;
    await host.changeSettings({ names: [host.name, through] });
    const project = await host.project({ version: "v2" });
    const result = await host.unchangedBy(async () => {
      const action = host.begin(project, { inputs: { hosts: proxy.url } });
      expect(await proxy.held).toContain("HTTP/1.1 202 ");
      return action.cancel();
    });
    expectCancelled(result, through);
  });
});

describe("an agent that is killed in the middle of a deploy", () => {
  // With the agent killed nobody ends its children here, as systemd does on a host: this one sees to it itself.
  const script = [
    "import os, time; parent = os.getppid(); print('begins', flush=True)",
    "[time.sleep(0.05) for _ in iter(lambda: os.getppid() == parent, False)]",
  ].join("; ");
  const moments: [string, ShopOptions, string][] = [
    ["the health check", unwell, "waiting for 200-399"],
    [
      "the release command",
      { version: "v2", config: { release: { command: ["python", "-c", script] } } },
      "release | begins",
    ],
  ];

  it.each(moments)(
    "during %s leaves the site serving, undoes it when it is back, and the next deploy works",
    async (_, options, line) => {
      const project = await host.project(options);
      const before = await snapshotHost(host.agent, host.site);
      const result = await host.unchangedBy(async () => {
        const { onLine, seen } = lineSeen(line);
        const action = host.begin(project, { onLine });
        await seen;
        await host.agent.kill();
        expect(await versionSeen(host.site)).toBe(before.visitorsSee);
        await host.agent.start();
        return action.result;
      });
      expectFailedHost(result, host.name, {
        code: "agent_stopping",
        says: [
          "The agent stopped in the middle of this deployment",
          "The live release went on serving",
          "Deploy again",
        ],
      });
      const watch = watchSite(host.site);
      await expectDeploys(`after-${line.length}`);
      await watch.stop();
      expect(watch.seen().filter((seen) => !seen.startsWith("200 "))).toEqual([]);
    },
  );
});

describe("an agent that is asked to end in the middle of a deploy", () => {
  it("goes on when it is back, although its own nginx and supervisord ended with it, and the job is green", async () => {
    const shared = join(embeddedLayout(host.agent.directory).data, "apps/shop/shared");
    const { onLine, seen } = lineSeen("waiting for 200-399");
    const action = host.begin(await host.project({ version: "v8", fault: "answers-500-until-ready" }), { onLine });
    await seen;
    expect(await host.agent.end("SIGTERM")).toBe(0);
    await writeFile(join(shared, "ready"), "");
    await host.agent.start();
    const { exitCode, stdout, outputs, annotations } = await action.result;
    expect(exitCode, stdout).toBe(0);
    expect(annotations).toEqual([]);
    expect(stdout).toContain("The agent is back; the deployment goes on");
    expect(await versionSeen(host.site)).toBe(`200 v8 ${outputs.release}`);
  });
});
