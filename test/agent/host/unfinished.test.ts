import { existsSync } from "node:fs";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReleaseDirectories } from "../../../agent/host/bundle/releases.ts";
import { RunPorts } from "../../../agent/host/net/run-ports.ts";
import { Nginx } from "../../../agent/host/nginx/nginx.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { StateFiles } from "../../../agent/host/store/state-file.ts";
import { Scratch } from "../../harness/scratch.ts";

/** What an agent that was killed between a temporary file and its name left behind; the torture found that it stayed. */

const run = "20261121T100000Z-1111111";
let scratch: Scratch;
let layout: ReturnType<typeof appLayout>;

beforeEach(async () => {
  scratch = new Scratch("unfinished");
  layout = appLayout(scratch.path, "shop");
  await mkdir(layout.ports, { recursive: true });
});
afterEach(() => scratch[Symbol.asyncDispose]());

test("a state that was not written to its end goes when the state is read first", async () => {
  await writeFile(`${layout.state}.tmp`, "{");
  expect(await new StateFiles(scratch.path).load("shop")).toBeUndefined();
  expect(existsSync(`${layout.state}.tmp`)).toBe(false);
});

test("ports that were not written to their end go with the run", async () => {
  await writeFile(`${layout.runPorts(run)}.tmp`, "{");
  await new RunPorts(scratch.path).forget("shop", run);
  expect(existsSync(`${layout.runPorts(run)}.tmp`)).toBe(false);
});

test("a link that was not put in its place goes when the links are published again", async () => {
  await mkdir(layout.release(run), { recursive: true });
  const releases = new ReleaseDirectories({ data: scratch.path, limits: { bundle: 1, free: 0 } });
  await releases.publish("shop", { current: run });
  await symlink("releases/other", `${layout.published("current")}.tmp`);
  await releases.publish("shop", { current: run });
  expect(existsSync(layout.published("current"))).toBe(true);
  await expect(symlink("free", `${layout.published("current")}.tmp`)).resolves.toBeUndefined();
});

test("a staged link that was not put in its place goes when nothing is staged", async () => {
  const releases = new ReleaseDirectories({ data: scratch.path, limits: { bundle: 1, free: 0 } });
  await mkdir(layout.home, { recursive: true });
  await symlink("releases/other", `${layout.published("staged")}.tmp`);
  await releases.publish("shop", { canary: null, staged: null });
  expect(await readdir(layout.home)).not.toContain("staged.tmp");
});

test("what nginx had before a canary's step goes when its files are as they should be", async () => {
  const name = "cutover-shop.upstream.conf";
  for (const left of [name, `${name}.before`]) await writeFile(join(scratch.path, left), "upstream {}\n");
  for (const left of [`${name}.tmp`, `${name}.before.tmp`]) await writeFile(join(scratch.path, left), "upstr");
  // nginx has read these files, so nothing is done.
  const nginx = new Nginx({ binary: "/bin/false", confDir: scratch.path });
  const { changed } = await nginx.write([{ name, effect: "upstream.write", text: "upstream {}\n" }]);
  expect(changed).toBe(false);
  expect((await readdir(scratch.path)).filter((file) => file.startsWith(name))).toEqual([name]);
});
