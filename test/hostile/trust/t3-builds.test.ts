import { execFileSync, spawn } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { processId, runningWith, uniqueNap } from "../../harness/processes.ts";
import { describeFiles } from "../../harness/tree.ts";
import { idsOf, users } from "../../harness/two-processes.ts";
import { BuildHost } from "./build-host.ts";

/** T3, as far as builds go: processes that live through a build, and one that is killed. */
const [first, second] = ["20261121T100000Z-0000000", "20261121T110000Z-1111111"];
const minute = 60_000;

let builds: BuildHost;
beforeEach(async () => {
  builds = await BuildHost.open();
});
afterEach(() => builds?.[Symbol.asyncDispose]());

describe("T3: nothing that is kept open reaches an environment", () => {
  /** Opens all that it can of the environments, again and again, and writes to it at a sign. */
  const lurker = (venvs: string, sign: string) => `
import os, sys, time
held, seen, end = [], set(), time.monotonic() + 80
print("lurking", flush=True)
while not os.path.exists(${JSON.stringify(sign)}) and time.monotonic() < end:
    for place, directories, files in os.walk(${JSON.stringify(venvs)}):
        for name in files:
            path = os.path.join(place, name)
            try:
                if path not in seen and len(held) < 400:
                    held.append(open(path, "r+b"))
                    seen.add(path)
            except OSError:
                pass
for file in held:
    file.seek(0)
    file.write(b"stolen")
    file.close()
print("wrote", len(held), flush=True)
`;

  test(
    "by a second process of the app's user that lives through the build",
    async () => {
      const sign = join(builds.host.directory, "sign");
      const { uid, gid } = idsOf(users.app);
      const code = lurker(builds.host.layout().venvs, sign);
      const child = spawn("/usr/bin/python3", ["-c", code], {
        uid,
        gid,
        stdio: ["ignore", "pipe", "inherit"],
        env: {},
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      if (child.pid !== undefined) builds.host.scratch.adopt(processId(child.pid));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      await expect.poll(() => said).toContain("lurking");
      const { error } = await builds.unpack(first, "def run(step): pass\n").then((release) => builds.build(release));
      expect(error?.detail).toBe(undefined);
      const before = execFileSync("sh", [
        "-c",
        'cd "$0" && find . -type f -exec sha256sum {} + | sort',
        builds.environment,
      ]);
      writeFileSync(sign, "");
      await expect.poll(() => said, { timeout: 30_000 }).toContain("wrote 0");
      const after = execFileSync("sh", [
        "-c",
        'cd "$0" && find . -type f -exec sha256sum {} + | sort',
        builds.environment,
      ]);
      expect(after.equals(before)).toBe(true);
    },
    2 * minute,
  );

  test(
    "by a process of the build that leaves its session and outlives pip",
    async () => {
      const nap = uniqueNap();
      const evil = `import os, subprocess
def run(step):
    quiet = subprocess.DEVNULL
    subprocess.Popen(["/bin/sh", "-c", "exec sleep ${nap}"], start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)
`;
      await builds.unpack(first, evil);
      const { error } = await builds.build(first);
      expect(error?.detail).toBe(undefined);
      expect(runningWith("sleep", nap)).toEqual([]);
      const venv = builds.environment;
      for (const [path, text] of Object.entries(describeFiles(venv))) {
        expect([path, text]).toEqual([path, expect.stringMatching(/^(755|644|777) 0:0 /)]);
      }
      // The agent links it to the release: a build changes nothing there.
      expect(existsSync(builds.host.layout().releaseVenv(first))).toBe(false);
      builds.expectNothingLeft();
    },
    minute,
  );
});

test(
  "a helper that is killed in the middle of a build leaves no mount and no process, and its scratch goes with the next build",
  async () => {
    const nap = uniqueNap();
    await builds.unpack(first, `import time\ndef run(step):\n    time.sleep(${nap})\n`);
    await builds.unpack(second, "def run(step): pass\n");
    const killed = builds.build(first).catch(() => undefined);
    const begun = () => building().some((line) => line.includes("get_requires"));
    await expect.poll(begun, { timeout: 30_000 }).toBe(true);
    for (const pid of builds.host.helpers().slice(0, 1)) process.kill(pid, "SIGKILL");
    builds.talk.kill();
    await killed;
    await expect.poll(() => building(), { timeout: 10_000 }).toEqual([]);
    expect(readdirSync(builds.host.layout().build)).not.toEqual([]);
    builds.talk = builds.host.talk();
    const { error } = await builds.build(second);
    expect(error?.detail).toBe(undefined);
    builds.expectNothingLeft();
  },
  2 * minute,
);

/** The command lines of the processes that build on this test's host. */
function building(): string[] {
  const { uid } = idsOf(users.builder);
  return readdirSync("/proc").flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid) || lstatSync(`/proc/${pid}`).uid !== uid) return [];
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ");
      return line.includes(builds.host.directory) ? [line] : [];
    } catch {
      return [];
    }
  });
}
