import { lstatSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { mayMount } from "../../e2e/bad-disk.ts";
import { describeFiles } from "../../harness/tree.ts";
import { idsOf, users } from "../../harness/two-processes.ts";
import { BuildHost, trustSource } from "./build-host.ts";

/** T1 (a) and T2, as far as builds go: a repository whose build backend leaves pipes, links and other things behind. */
const [first, second] = ["20261121T100000Z-0000000", "20261121T110000Z-1111111"];
const minute = 60_000;

let builds: BuildHost;
beforeEach(async () => {
  builds = await BuildHost.open();
});
afterEach(() => builds?.[Symbol.asyncDispose]());

/** What there is of a release, without what cutover itself adds: the link to the environment, and bytecode. */
function contentOf(release: string): Record<string, string> {
  const all = describeFiles(builds.host.layout().release(release));
  const own = Object.keys(all).filter((path) => path !== "." && path !== "venv" && !path.includes("__pycache__"));
  return Object.fromEntries(
    own.map((path) => {
      const status = lstatSync(join(builds.host.layout().release(release), path));
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
  const venv = builds.environment;
  const words = readdirSync(venv).filter((name) => name.startsWith("planted "));
  return words.map((name) => JSON.parse(readFileSync(join(venv, name), "utf8")) as Planted);
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
      await builds.unpack(first, evil);
      await builds.build(first);
      expect(lstatSync(join(builds.host.layout().release(first), file)).isFile()).toBe(true);
      const other = await builds.unpack(second, "def run(step): pass\n", {}, "other");
      const again = Promise.all([builds.build(first), builds.build(other, "other")]);
      const answers = await Promise.race([again, sleep(40_000)]);
      expect(answers?.map(({ error }) => error?.code)).toEqual([undefined, undefined]);
    },
    2 * minute,
  );
});

test(
  "T2: a link among the static files, and every other kind of file in every place, at every step of a build",
  async () => {
    const { home, release, app, venvs, run, shared, launches, logs, releases } = builds.host.layout();
    const other = builds.host.layout("other");
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
        builds.host.data,
        builds.host.etc,
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
    await builds.unpack(first, trustSource("plant.py"), {
      "app/shop.py": "",
      "static/static/own.css": "",
      "wheels/README.txt": "",
      "app/kit/places.json": JSON.stringify({ into, replace, environments: venvs }),
    });
    const before = contentOf(first);
    const { error } = await builds.build(first);
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
    builds.expectNothingLeft();
  },
  2 * minute,
);

describe("kinds: an environment is refused, by the name of what the build left in it:", () => {
  const kinds = ["pipe", "socket", "link", "hard link", "set-user-id"];
  test.each(kinds)(
    "%s",
    async (kind) => {
      const evil = `${trustSource("plant.py")}
KINDS = {${JSON.stringify(kind)}: KINDS[${JSON.stringify(kind)}]}
`.replace("os.link(__file__, path)", 'open("first", "w").close() or os.link("first", path)');
      const into = [`${builds.host.layout().venvs}/*`];
      await builds.unpack(first, evil, {
        "app/kit/places.json": JSON.stringify({ into, replace: [], environments: "/nowhere" }),
      });
      const { error } = await builds.build(first);
      expect(error).toMatchObject({
        code: "environment_failed",
        detail: expect.stringMatching(/"(import|requires|metadata|build) /),
      });
      expect(builds.environments()).toEqual([]);
      builds.expectNothingLeft();
    },
    minute,
  );
});

test(
  "an environment of more files than the host allows is refused, with the key that allows more",
  async () => {
    const evil = `import glob
def run(step):
    for place in glob.glob("${builds.host.layout().venvs}/*"):
        for number in range(5001):
            open(f"{place}/{number}", "w").close()
`;
    await builds.unpack(first, evil);
    const { error } = await builds.build(first);
    expect(error).toMatchObject({
      code: "environment_failed",
      detail: expect.stringContaining("more than 5000 files"),
    });
    expect(builds.environments()).toEqual([]);
  },
  minute,
);

test.runIf(mayMount())(
  "a build that would fill the host's disk is ended before, and what it wrote is gone",
  async () => {
    // The whole host on a small disk, with the default reserve, which is larger.
    await builds[Symbol.asyncDispose]();
    builds = await BuildHost.open(100_000_000);
    const evil = `import glob
def run(step):
    for place in glob.glob("${builds.host.layout().venvs}/*"):
        with open(f"{place}/large", "ab") as file:
            while file.tell() < 10 ** 9:
                file.write(bytes(100_000))
                file.flush()
                __import__("time").sleep(0.01)
`;
    await builds.unpack(first, evil);
    const free = () => statfsSync(builds.host.data).bfree;
    const before = free();
    const { error } = await builds.build(first);
    expect(error).toMatchObject({ code: "disk_full", detail: expect.stringContaining("before it filled") });
    expect(free()).toBeGreaterThan(before - 100);
    expect(builds.environments()).toEqual([]);
  },
  minute,
);
