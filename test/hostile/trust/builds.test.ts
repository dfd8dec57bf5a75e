import { execFileSync, spawn } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { FileInput } from "../../fixtures/bundle.ts";
import { HelperHost, type Talk } from "../../harness/helper-host.ts";
import { repository } from "../../harness/places.ts";
import { processId, runningWith, uniqueNap } from "../../harness/processes.ts";
import { describeFiles } from "../../harness/tree.ts";
import { idsOf, users } from "../../harness/two-processes.ts";

/**
 * T1 (a), T2 and T3 as far as builds go: a repository whose build backend leaves pipes, links and processes behind, and a
 * process of the running app that waits for the next build.
 */
const [first, second] = ["20261121T100000Z-0000000", "20261121T110000Z-1111111"];
const minute = 60_000;

let host: HelperHost;
let talk: Talk;

beforeEach(async () => {
  host = await HelperHost.open({ limits: { environment_files: 5000 } });
  talk = host.talk();
  for (const app of ["shop", "other"]) await talk.done("prepareApp", { app });
});
afterEach(() => host?.[Symbol.asyncDispose]());

const source = (name: string) => readFileSync(join(repository, "test/hostile/trust", name), "utf8");

/** A release whose requirements are a project with this code in its build backend: `run(step)` is called at each step. */
async function unpack(
  release: string,
  evil: string,
  more: Record<string, FileInput> = {},
  app = "shop",
): Promise<string> {
  return host.unpack({
    ...{ app, release, config: { python: { wheels: "index" } } },
    files: {
      "app/requirements.txt": "--no-index\n./kit\n",
      "app/kit/pyproject.toml":
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "kit"\nversion = "1"\n',
      "app/kit/backend.py": source("backend.py"),
      "app/kit/evil.py": evil,
      ...more,
    },
  });
}

const build = (release: string, app = "shop") => talk.ask("buildEnvironment", { app, release, reuse: null });

/** The environments of an app. */
const environments = (app = "shop") => readdirSync(host.layout(app).venvs);

/** What there is of a release, without what cutover itself adds: the link to the environment, and bytecode. */
function contentOf(release: string): Record<string, string> {
  const all = describeFiles(host.layout().release(release));
  const own = Object.keys(all).filter((path) => path !== "." && path !== "venv" && !path.includes("__pycache__"));
  return Object.fromEntries(
    own.map((path) => {
      const status = lstatSync(join(host.layout().release(release), path));
      return [path, `${status.mode} ${status.ino} ${status.isFile() ? status.size : ""}`];
    }),
  );
}

interface Planted {
  step: string;
  as: number;
  done: [step: string, kind: string, place: string][];
}

/** What the build says that it could do. */
function planted(): Planted[] {
  const [key = ""] = environments();
  const venv = host.layout().venv(key);
  const words = readdirSync(venv).filter((name) => name.startsWith("planted "));
  return words.map((name) => JSON.parse(readFileSync(join(venv, name), "utf8")) as Planted);
}

/** Nothing of a build is left where root keeps it, and nothing is mounted. */
function expectNothingLeft(): void {
  for (const app of ["shop", "other"]) {
    const { build } = host.layout(app);
    expect(existsSync(build) ? readdirSync(build) : []).toEqual([]);
  }
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(host.directory);
}

describe("T1 (a): a pipe in the place of", () => {
  test.each(["manifest.json", "config.json", "app/requirements.txt"])(
    "%s stops neither the next build nor another app's",
    async (file) => {
      const evil = `import os
def run(step):
    path = os.path.abspath(os.path.join(os.path.dirname(__file__), "../..", ${JSON.stringify(file)}))
    try:
        os.unlink(path)
        os.mkfifo(path)
    except OSError as error:
        print("REFUSED", error.strerror, flush=True)
`;
      await unpack(first, evil);
      await build(first);
      expect(lstatSync(join(host.layout().release(first), file)).isFile()).toBe(true);
      const other = await unpack(second, "def run(step): pass\n", {}, "other");
      const again = Promise.all([build(first), build(other, "other")]);
      const answers = await Promise.race([again, sleep(40_000)]);
      expect(answers?.map(({ error }) => error?.code)).toEqual([undefined, undefined]);
    },
    2 * minute,
  );
});

test(
  "T2: a link among the static files, and every other kind of file in every place, at every step of a build",
  async () => {
    const { home, release, app, venvs, run, shared, launches, logs, releases } = host.layout();
    const other = host.layout("other");
    const into = [
      ...[
        home,
        releases,
        release(first),
        app(first),
        join(release(first), "static/static"),
        join(release(first), "wheels"),
      ],
      ...[
        venvs,
        run,
        shared,
        launches,
        logs,
        other.home,
        other.shared,
        other.releases,
        host.data,
        host.etc,
        "/run",
        "/etc",
      ],
    ];
    const replace = [
      ...["manifest.json", "config.json", "venv", "app/shop.py", "static/static/leak.txt"].map((path) =>
        join(release(first), path),
      ),
      join(home, "state.json"),
    ];
    await unpack(first, source("plant.py"), {
      "app/shop.py": "",
      "static/static/own.css": "",
      "wheels/README.txt": "",
      "app/kit/places.json": JSON.stringify({ into, replace, environments: venvs }),
    });
    const before = contentOf(first);
    const { error } = await build(first);
    expect(error?.detail).toBe(undefined);
    expect(planted().map(({ step }) => step)).toEqual(
      expect.arrayContaining(["import", "requires", "metadata", "build"]),
    );
    for (const { as } of planted()) expect(as).toBe(idsOf(users.builder).uid);
    // Its own copy of the release is thrown away.
    const own = [release(first), app(first)];
    const outside = planted().flatMap(({ done }) =>
      done.filter(([, , place]) => !own.some((path) => place.startsWith(path))),
    );
    expect(outside).toEqual([]);
    expect(contentOf(first)).toEqual(before);
    expect(lstatSync(join(release(first), "manifest.json")).isFile()).toBe(true);
    expectNothingLeft();
  },
  2 * minute,
);

describe("kinds: an environment is refused, by the name of what the build left in it:", () => {
  const kinds = ["pipe", "socket", "link", "hard link", "set-user-id"];
  test.each(kinds)(
    "%s",
    async (kind) => {
      const evil = `${source("plant.py")}
KINDS = {${JSON.stringify(kind)}: KINDS[${JSON.stringify(kind)}]}
`.replace("os.link(__file__, path)", 'open("first", "w").close() or os.link("first", path)');
      const into = [`${host.layout().venvs}/*`];
      await unpack(first, evil, {
        "app/kit/places.json": JSON.stringify({ into, replace: [], environments: "/nowhere" }),
      });
      const { error } = await build(first);
      expect(error).toMatchObject({
        code: "environment_failed",
        detail: expect.stringMatching(/"(import|requires|metadata|build) /),
      });
      expect(environments()).toEqual([]);
      expectNothingLeft();
    },
    minute,
  );
});

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
      const sign = join(host.directory, "sign");
      const { uid, gid } = idsOf(users.app);
      const code = lurker(host.layout().venvs, sign);
      const child = spawn("/usr/bin/python3", ["-c", code], {
        uid,
        gid,
        stdio: ["ignore", "pipe", "inherit"],
        env: {},
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      if (child.pid !== undefined) host.scratch.adopt(processId(child.pid));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      await expect.poll(() => said).toContain("lurking");
      const { error } = await unpack(first, "def run(step): pass\n").then(build);
      expect(error?.detail).toBe(undefined);
      const [key = ""] = environments();
      const before = execFileSync("sh", [
        "-c",
        'cd "$0" && find . -type f -exec sha256sum {} + | sort',
        host.layout().venv(key),
      ]);
      writeFileSync(sign, "");
      await expect.poll(() => said, { timeout: 30_000 }).toContain("wrote 0");
      const after = execFileSync("sh", [
        "-c",
        'cd "$0" && find . -type f -exec sha256sum {} + | sort',
        host.layout().venv(key),
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
      await unpack(first, evil);
      const { error } = await build(first);
      expect(error?.detail).toBe(undefined);
      expect(runningWith("sleep", nap)).toEqual([]);
      const [key = ""] = environments();
      const venv = host.layout().venv(key);
      for (const [path, text] of Object.entries(describeFiles(venv))) {
        expect([path, text]).toEqual([path, expect.stringMatching(/^(755|644|777) 0:0 /)]);
      }
      expect(readlinkSync(host.layout().releaseVenv(first))).toBe(relative(host.layout().release(first), venv));
      expectNothingLeft();
    },
    minute,
  );
});

test(
  "a helper that is killed in the middle of a build leaves no mount and no process, and its scratch goes with the next build",
  async () => {
    const nap = uniqueNap();
    await unpack(first, `import time\ndef run(step):\n    time.sleep(${nap})\n`);
    await unpack(second, "def run(step): pass\n");
    const killed = build(first).catch(() => undefined);
    const begun = () => processesOf(idsOf(users.builder).uid).some((line) => line.includes("get_requires"));
    await expect.poll(begun, { timeout: 30_000 }).toBe(true);
    for (const pid of host.helpers().slice(0, 1)) process.kill(pid, "SIGKILL");
    talk.kill();
    await killed;
    await expect.poll(() => processesOf(idsOf(users.builder).uid), { timeout: 10_000 }).toEqual([]);
    expect(readdirSync(host.layout().build)).not.toEqual([]);
    talk = host.talk();
    const { error } = await build(second);
    expect(error?.detail).toBe(undefined);
    expectNothingLeft();
  },
  2 * minute,
);

/** The command lines of a user's processes. */
function processesOf(uid: number): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid) || lstatSync(`/proc/${pid}`).uid !== uid) return [];
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ") || [];
    } catch {
      return [];
    }
  });
}

test(
  "an environment of more files than the host allows is refused, with the key that allows more",
  async () => {
    const evil = `import glob
def run(step):
    for place in glob.glob("${host.layout().venvs}/*"):
        for number in range(5001):
            open(f"{place}/{number}", "w").close()
`;
    await unpack(first, evil);
    const { error } = await build(first);
    expect(error).toMatchObject({
      code: "environment_failed",
      detail: expect.stringContaining("more than 5000 files"),
    });
    expect(environments()).toEqual([]);
  },
  minute,
);
