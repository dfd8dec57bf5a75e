import { appendFileSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { requestFile } from "../../agent/host/nginx/request-log.ts";
import { requestPlaces } from "../../agent/host/store/layout.ts";
import { runProgram } from "../harness/run.ts";
import type { Load } from "../load/load.ts";
import { startLoadProcess } from "../load/process.ts";
import { fillBytes, mayMount } from "./bad-disk.ts";
import { BadHost, lineSeen } from "./bad-host.ts";
import { versionOf } from "./hosts.ts";

/** What others do to nginx's lines in the middle of a watch. The job says that it has not judged, and nothing else happens. */

const mounts = mayMount();

let host: BadHost;
let load: Load;
let turn = 1;

const data = () => embeddedLayout(host.agent.directory).data;
const file = () => requestFile(requestPlaces(data()), "shop");
const reopen = () => runProgram(["nginx", "-c", join(host.agent.directory, "etc/nginx/nginx.conf"), "-s", "reopen"]);

beforeAll(async () => {
  const disk = { bytes: 256 * 1024 ** 2, files: 20_000 };
  host = await BadHost.start({ name: "unjudged", ...(mounts && { disk, settings: { limits: { free: 1024 ** 2 } } }) });
  load = await startLoadProcess({ url: host.site, rate: 25, shares: { slow: 0.8, get: 0.2 }, slowMs: 100 });
  while (load.snapshot().ok < 200) await sleep(200);
});
afterAll(async () => {
  await load?.[Symbol.asyncDispose]();
  await host?.[Symbol.asyncDispose]();
});

/** A deploy of a release that is as good as the one before; the harm comes in its watch. @returns what the job says of its visitors */
async function deployed(harm: () => Promise<unknown> | unknown): Promise<string> {
  const version = `v${++turn}`;
  const { onLine, seen } = lineSeen("is watched for 10s");
  const { result } = host.begin(await host.project({ version, config: { watch: "10s" } }), { onLine });
  await Promise.race([seen, result]);
  await sleep(2000);
  await harm();
  const { exitCode, stdout } = await result;
  expect(exitCode, stdout).toBe(0);
  expect((await versionOf(host.site)).version).toBe(version);
  expect(load.snapshot().failed).toBe(0);
  return /is (?:not )?judged by its visitors.*/.exec(stdout)?.[0] ?? stdout;
}

test("a file that somebody rotates as cutover does loses nothing: the release is judged", async () => {
  const said = await deployed(async () => {
    renameSync(file(), `${file()}.1`);
    await reopen();
  });
  expect(said).toMatch(/^is judged by its visitors, and n/);
});

/** As another server's log has them, most of which failed. */
const strange = '192.0.2.7 - - [27/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 500 21\n'.repeat(200);

/** What nginx writes in five seconds at 100,000 requests a second. */
function flood(): void {
  const lines = readFileSync(file(), "latin1").trimEnd().split("\n");
  const second = `${lines.at(-1)}\n`.repeat(100_000);
  for (let n = 0; n < 5; n++) appendFileSync(file(), second);
}

test.each([
  ["is removed", () => rmSync(file()), "the file of lines was removed or replaced"],
  ["is moved away", () => renameSync(file(), `${file()}.old`), "the file of lines was removed or replaced"],
  ["is cut off, as by logrotate's copytruncate", () => truncateSync(file()), "the file of lines was cut off"],
  [
    "gets lines of another program",
    () => appendFileSync(file(), strange),
    "lines came that nginx did not write, or not to their end",
  ],
  ["gets 100,000 lines a second", flood, "there were more lines than the agent reads"],
])("a file that %s: not judged", async (_what, harm, why) => {
  expect(await deployed(harm)).toBe(`is not judged by its visitors: ${why}`);
});

test.runIf(mounts)("a disk that is full for a while: not judged", async () => {
  const said = await deployed(async () => {
    using _ = fillBytes(data());
    await sleep(4000);
  });
  expect(said).toBe("is not judged by its visitors: the disk was full");
});
