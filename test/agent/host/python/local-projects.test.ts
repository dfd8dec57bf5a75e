import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { runStep, type StepRunner } from "../../../../agent/host/exec/step.ts";
import { PythonEnvironments } from "../../../../agent/host/python/environments.ts";
import { ReleaseEnvironments } from "../../../../agent/host/python/release-environments.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { type FileInput, makeBundle } from "../../../fixtures/bundle.ts";
import { HelperHost, type Talk } from "../../../harness/helper-host.ts";
import { repository } from "../../../harness/places.ts";
import { Scratch } from "../../../harness/scratch.ts";
import { scratch as directory } from "../scratch.ts";

/**
 * Projects that install themselves, with setuptools, as somebody who may not write the release. setuptools writes `build/` and
 * `*.egg-info` into the project.
 */
const minute = 60_000;
const wheels: Record<string, FileInput> = {};
let host: HelperHost;
let talk: Talk;
let count = 0;

beforeAll(async () => {
  await using scratch = new Scratch("wheels");
  const script = join(repository, "test/wheels.py");
  execFileSync("/usr/bin/python3", [script, scratch.path, "setuptools", "wheel"], { stdio: "ignore" });
  for (const name of readdirSync(scratch.path)) {
    if (name.endsWith(".whl")) wheels[`app/deps/${name}`] = readFileSync(join(scratch.path, name));
  }
  host = await HelperHost.open();
  talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
}, 2 * minute);
afterAll(() => host?.[Symbol.asyncDispose]());

const project: Record<string, FileInput> = {
  "app/setup.py": `import os, setuptools
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shop", "version.py"), "w") as file:
    file.write("VERSION = '1.2.3'\\n")
setuptools.setup(
    name="the-shop", version="1.2.3", packages=["shop"],
    entry_points={"console_scripts": ["shop-tool = shop.tool:main"], "shop.plugins": ["own = shop.tool"]},
)
`,
  "app/shop/__init__.py": "",
  "app/shop/version.py": "VERSION = None\n",
  "app/shop/tool.py": `import importlib.metadata, shop
def main():
    [plugin] = importlib.metadata.entry_points(group="shop.plugins")
    print(importlib.metadata.version("the-shop"), plugin.name, shop.__file__)
`,
};

/** Builds a release and seals it. @returns its directory, what its tool prints, and what its build wrote into the project */
async function built(requirements: string, python: object = {}, more: Record<string, FileInput> = {}) {
  count += 1;
  const release = await host.unpack({
    release: `20261121T10${String(count).padStart(2, "0")}00Z-0000000`,
    config: { python: { wheels: "index", ...python } },
    files: {
      ...project,
      ...wheels,
      ...more,
      "app/requirements.txt": `--no-index\n--find-links ./deps\n${requirements}\n`,
    },
  });
  await talk.done("sealRelease", { app: "shop", release });
  await host.build(talk, release);
  expect(readdirSync(host.layout().build)).toEqual([]);
  const app = host.layout().app(release);
  const tool = join(host.layout().releaseVenv(release), "bin/shop-tool");
  const printed = execFileSync(tool, { encoding: "utf8", cwd: "/", env: {} }).trim();
  return {
    app,
    printed,
    site: execFileSync("sh", ["-c", "ls -d lib/python3*/site-packages/*"], {
      cwd: host.layout().releaseVenv(release),
      encoding: "utf8",
    }),
  };
}

/** The release is what was in the bundle. */
function expectUntouched(app: string): void {
  const files = readdirSync(app).filter((name) => name !== "__pycache__");
  expect(files.toSorted()).toEqual(["deps", "requirements.txt", "setup.py", "shop"]);
  expect(readFileSync(join(app, "shop/version.py"), "utf8")).toBe("VERSION = None\n");
}

describe("a project with a setup.py is installed, and the release stays as it was signed:", () => {
  test(
    "as `.`, with what its setup.py generates",
    async () => {
      const { app, printed } = await built(".");
      expect(printed).toMatch(/^1\.2\.3 own .*\/site-packages\/shop\/__init__\.py$/);
      expectUntouched(app);
    },
    minute,
  );

  test(
    "as `-e .`, from the release itself",
    async () => {
      const { app, printed } = await built("-e .");
      expect(printed).toBe(`1.2.3 own ${app}/shop/__init__.py`);
      expectUntouched(app);
    },
    minute,
  );

  test(
    "as `-e .` by `setup.py develop`, which leaves its metadata in the project",
    async () => {
      // pip does so if the environment has setuptools, and the project has no pyproject.toml.
      const { app, printed, site } = await built("-e .", { system_site_packages: true });
      expect(site).toContain(".egg-link");
      expect(printed).toBe(`1.2.3 own ${app}/shop/__init__.py`);
      expectUntouched(app);
    },
    minute,
  );
});

describe("and so it is where everything belongs to one user, and nothing can be mounted:", () => {
  const first = "20261121T103000Z-3f2c1ab";
  test.each([
    ["`.`", ".", false],
    ["`-e .`", "-e .", false],
    ["`-e .` by `setup.py develop`", "-e .", true],
  ])(
    "%s",
    async (_title, requirements, develop) => {
      const data = directory();
      const layout = appLayout(data, "shop");
      const releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 } });
      const run: StepRunner = (_app, step) => runStep(step);
      const builder = new PythonEnvironments({
        ...{ data, pythonPath: ["/usr/bin"], runStep: run, limits: { bytes: 1e9, files: 1e5 } },
        owner: { scratch: async () => undefined, clear: async () => undefined },
      });
      const environments = new ReleaseEnvironments({ data, jobs: 1, builder });
      const files = {
        ...project,
        ...wheels,
        "app/requirements.txt": `--no-index\n--find-links ./deps\n${requirements}\n`,
      };
      const { bytes } = makeBundle({ files, config: { python: { wheels: "index", system_site_packages: develop } } });
      const { signal } = new AbortController();
      const { manifest } = await releases.unpack("shop", Readable.from([bytes]), {
        accept: async () => undefined,
        signal,
      });
      const lines: string[] = [];
      const context = { app: "shop", release: first, manifest, signal };
      await environments.build({ ...context, onOutput: (_source, line) => void lines.push(line) });
      const tool = join(layout.releaseVenv(first), "bin/shop-tool");
      const printed = execFileSync(tool, { encoding: "utf8", cwd: "/", env: {} }).trim();
      const place = requirements === "." ? ".*/site-packages" : layout.app(first);
      expect(printed).toMatch(new RegExp(`^1\\.2\\.3 own ${place}/shop/__init__\\.py$`));
      expectUntouched(layout.app(first));
    },
    minute,
  );
});

test(
  "what a build writes into a project that stays where it is is named, since it is not kept",
  async () => {
    const setup = String(project["app/setup.py"]).replace(
      "import os, setuptools",
      'import os, setuptools\nopen("shop/fast.so", "w").close()',
    );
    const known = talk.answers.length;
    const { app } = await built("-e .", {}, { "app/setup.py": setup });
    const lines = talk.answers.slice(known).flatMap(({ output }) => output?.[1] ?? []);
    const named = lines.filter((line) => line.includes("was written into the project and is not kept"));
    expect(named.map((line) => line.split(" ")[0]).sort()).toEqual(["shop/fast.so", "shop/version.py"]);
    expect(existsSync(join(app, "shop/fast.so"))).toBe(false);
  },
  minute,
);
