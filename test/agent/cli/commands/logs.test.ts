import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../../agent/host/supervisor/instance-logs.ts";
import { fakeAppView } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

const release = "20261121T103000Z-3f2c1ab";
let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  await host.close();
});

const started: ChildProcessWithoutNullStreams[] = [];
const waits = { timeout: 10_000, interval: 50 };

const asked = () => host.service.calls.filter(({ method }) => method === "logs").map(({ detail }) => detail);

test("logs takes a release: its newest run, or the only one of a release that failed", async () => {
  const view = fakeAppView();
  const [first] = view.instances;
  if (first === undefined) throw new Error("the view has no instance");
  view.instances = [2, 10, 1].map((count) => ({ ...first, run: `${release}.${count}` }));
  host.service.views.set("shop", view);
  await host.run(["logs", "shop", release]);
  await host.run(["logs", "shop", "20261119T080000Z-1111111"]);
  await host.run(["logs", "shop", `${release}.2`]);
  expect(asked()).toEqual([
    { lines: 100, run: `${release}.10` },
    { lines: 100, run: "20261119T080000Z-1111111" },
    { lines: 100, run: `${release}.2` },
  ]);
  expect(await host.run(["logs", "shop", "v2"])).toMatchObject({ exit: 2 });
});

/** `cutover logs shop --follow`, and the log of one instance. */
function follow(): {
  child: ChildProcessWithoutNullStreams;
  out: () => string;
  err: () => string;
  write(text: string): void;
} {
  const layout = appLayout(host.path("data"), "shop");
  mkdirSync(layout.runLogs(release), { recursive: true });
  const log = join(layout.runLogs(release), "web-0.log");
  writeFileSync(log, "0\n1\n");
  const logs = new SupervisorLogs(host.path("data"), host.path());
  host.service.followed = (lines, after) => logs.follow("shop", release, lines, after);
  const argv = [join(import.meta.dirname, "../../../../agent/cli/main.ts"), "logs", "shop", "--follow", "-n", "1"];
  const child = spawn(process.execPath, argv, { env: { ...process.env, CUTOVER_EMBEDDED: host.directory } });
  started.push(child);
  const text = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    text.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text.err += chunk;
  });
  return { child, out: () => text.out, err: () => text.err, write: (more) => appendFileSync(log, more) };
}

test("logs --follow goes on after a restart of the agent, says so once, and shows each line once", async () => {
  const { child, out, err, write } = follow();
  await vi.waitFor(() => expect(out()).toBe("==> web-0 <==\n1\n"), waits);
  write("2\n");
  await vi.waitFor(() => expect(out()).toContain("web-0 | 2\n"), waits);
  await host.stopAgent();
  write("3\n");
  await vi.waitFor(() => expect(err()).not.toBe(""), waits);
  await sleep(2200);
  await host.startAgent();
  write("4\n");
  await vi.waitFor(() => expect(out()).toContain("4"), waits);
  expect(out()).toBe("==> web-0 <==\n1\nweb-0 | 2\nweb-0 | 3\nweb-0 | 4\n");
  expect(err()).toBe("The agent does not answer. The lines go on when it is back.\n");
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([null, "SIGINT"]);
}, 30_000);

test("logs --follow ends with 0 when nobody reads it any more", async () => {
  const { child, out, err, write } = follow();
  await vi.waitFor(() => expect(out()).toContain("1"), waits);
  child.stdout.destroy();
  write("2\n");
  expect(await once(child, "close")).toEqual([0, null]);
  expect(err()).toBe("");
}, 30_000);

test("an agent that is older than --follow of this version is named", async () => {
  expect(await host.run(["logs", "shop", "--follow"])).toMatchObject({
    exit: 1,
    err: expect.stringContaining("[agent_incompatible]"),
  });
});
