import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { afterEach, describe, expect, it, test, vi } from "vitest";
import { checkProject } from "../../../action/project/check-project.ts";
import { scanProject } from "../../../action/project/project-scan.ts";
import { listProject, pythonFilesIn } from "../../../shared/detect/project-tree.ts";
import { scanPython } from "../../../shared/detect/python-scan.ts";
import { jobIn } from "../job-in.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { refusal, Workspace } from "../workspace.ts";

/** Each has a real Python. */

const django = {
  "p/manage.py": "import os, django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
  "p/shop/__init__.py": "",
  "p/shop/settings.py": "WSGI_APPLICATION = 'shop.wsgi.application'\nDEBUG = True\n",
  "p/shop/wsgi.py":
    "import os\nfrom django.core.wsgi import get_wsgi_application\n" +
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_wsgi_application()\n",
  "p/shop/chat.py":
    "from quart import Quart\napp = Quart(__name__)\n\n@app.websocket('/chat')\nasync def chat(): pass\n",
  "p/shop/plain.py": "one = 1\n",
  "p/old/two.py": "print 'app'\n",
};
const cacheFile = "p/.cutover/scan.json";

interface Cached {
  program: string;
  python: string;
  files: { path: string; sha256: string; module: Record<string, unknown> | null }[];
}

const cached = (space: Workspace): Cached => JSON.parse(readFileSync(space.at(cacheFile), "utf8"));

/** Changes what an earlier job has left. */
function spoil(space: Workspace, change: (cache: Cached) => void): void {
  const cache = cached(space);
  change(cache);
  space.write(cacheFile, JSON.stringify(cache));
}

const ofFile = (cache: Cached, path: string) => cache.files.find((each) => each.path === path)?.module ?? {};

/** As a job does it. */
async function scanned(space: Workspace) {
  const { files, kept } = await scanProject(space.at("p"), undefined)([]);
  await kept;
  return files.python?.();
}

/** What Python finds in all files now. */
function wanted(space: Workspace) {
  const { modules, skipped, complete } = scanPython(space.at("p"), pythonFilesIn(listProject(space.at("p"))));
  return { modules, skipped, complete };
}

/** The paths that Python is asked for from now on, by a python3 that writes them down. */
function recordAsked(space: Workspace): () => string[] {
  const real = execFileSync("sh", ["-c", "command -v python3"]).toString().trim();
  const log = space.at("asked");
  space.write(
    "bin/python3",
    `#!/bin/sh\ncase "$4" in *BUDGET*) tee -a ${log} | ${real} "$@";; *) ${real} "$@";; esac\n`,
    0o755,
  );
  vi.stubEnv("PATH", `${space.at("bin")}${delimiter}${process.env.PATH}`);
  return () => {
    const asked = readFileSync(log, "utf8").split("\n").filter(Boolean);
    rmSync(log);
    return asked;
  };
}

afterEach(() => vi.unstubAllEnvs());

describe("what Python found in an earlier job", () => {
  it("is used again for files that are the same, and the result is that of reading all of them", async () => {
    using space = new Workspace(django);
    expect(await scanned(space)).toEqual(wanted(space));
    const asked = recordAsked(space);
    const again = await scanned(space);
    // What Python could not read is tried again.
    expect(asked()).toEqual(["old/two.py"]);
    expect(again).toEqual(wanted(space));
    asked();

    space.write("p/shop/chat.py", "from flask import Flask\napp = Flask(__name__)\n");
    space.write("p/web.py", "from flask import Flask\napplication = Flask(__name__)\n");
    rmSync(space.at("p/shop/plain.py"));
    // The same content elsewhere is another module.
    space.write("p/other/chat.py", django["p/shop/chat.py"]);
    const found = await scanned(space);
    expect(asked()).toEqual(["web.py", "old/two.py", "other/chat.py", "shop/chat.py"]);
    expect(found).toEqual(wanted(space));
    expect(Object.keys(found?.modules ?? {})).toEqual(Object.keys(wanted(space).modules));
    expect(cached(space).files.map(({ path }) => path)).not.toContain("shop/plain.py");
  });

  it("is that of the digests of files that this job has read already", async () => {
    using space = new Workspace(django);
    await scanned(space);
    const source = space.at("p/shop/chat.py");
    const asked = recordAsked(space);
    const { files } = await scanProject(space.at("p"), undefined)([{ source, sha256: "0".repeat(64) }]);
    expect(asked()).toEqual(["old/two.py", "shop/chat.py"]);
    expect(files.python?.()).toEqual(wanted(space));
  });

  it("is not that of another Python, or of another version of what reads the files", async () => {
    using space = new Workspace(django);
    for (const key of ["python", "program"] as const) {
      await scanned(space);
      spoil(space, (cache) => {
        cache[key] = "another";
        ofFile(cache, "shop/chat.py").websocket = null;
      });
      expect(await scanned(space)).toEqual(wanted(space));
      expect(cached(space)[key]).not.toBe("another");
    }
  });

  it("is nothing where nothing can be written, and that is no failure", async () => {
    using space = new Workspace({ ...django, "p/.cutover": "a file" });
    expect(await scanned(space)).toEqual(wanted(space));
    expect(readFileSync(space.at("p/.cutover"), "utf8")).toBe("a file");
  });
});

const damages: [string, (file: string) => void][] = [
  ["empty", (file) => writeFileSync(file, "")],
  ["cut off", (file) => truncateSync(file, 200)],
  ["of another form", (file) => writeFileSync(file, '{"program":1,"files":[{}]}')],
  ["a folder", (file) => mkdirSync(file)],
  ["a pipe that nobody writes into", (file) => execFileSync("mkfifo", [file])],
  ["a link to what has no end", (file) => symlinkSync("/dev/zero", file)],
  ["larger than any", (file) => truncateSync(file, 5 * 1024 ** 3)],
];

test.each(damages)("a cache that is %s is ignored", async (_, damage) => {
  using space = new Workspace(django);
  await scanned(space);
  const file = space.at(cacheFile);
  if (!/^(?:cut|larger)/.test(_)) rmSync(file);
  damage(file);
  expect(await scanned(space)).toEqual(wanted(space));
});

/** What a job of this project says, or the code with which it stops. */
async function said(space: Workspace): Promise<string> {
  const console = new RecordedConsole();
  const job = jobIn(space, { config: { python: { wheels: "none" } }, console });
  await checkProject(job, () => []);
  return console.taken.map(({ text }) => text).join("\n");
}

describe("a hostile cache gives a wrong hint at most", () => {
  it("cannot stop a job that is well, nor let one pass that is not", async () => {
    using space = new Workspace(django);
    await said(space);
    spoil(space, (cache) => {
      ofFile(cache, "shop/wsgi.py").strings = { "environ.DJANGO_SETTINGS_MODULE": "shop.gone" };
    });
    expect(await said(space)).toContain("DEBUG is True (shop/settings.py:2)");
    rmSync(space.at("p/shop/settings.py"));
    rmSync(space.at(cacheFile));
    const error = await refusal(() => said(space));
    expect(error.message).toContain("names shop.settings, and the project has no shop/settings.py");
    expect(await refusal(() => said(space))).toEqual(error);
  });

  it("can hide a hint, and that is all", async () => {
    using space = new Workspace(django);
    expect(await said(space)).toContain("shop/chat.py:4 has WebSockets");
    spoil(space, (cache) => {
      for (const each of cache.files) if (each.module !== null) each.module.websocket = null;
    });
    expect(await said(space)).not.toContain("WebSockets");
  });

  it("names files that the project does not have, keys of every object, patterns and commands of the runner, without effect", async () => {
    using space = new Workspace(django);
    const before = await said(space);
    const evil = "(a+)+$\n::error::evil%0A\u001b[31m(";
    spoil(space, (cache) => {
      for (const { module } of cache.files) {
        if (module === null) continue;
        module.module = evil;
        module.imports = JSON.parse(`{"__proto__": "flask.Flask", "constructor": "x", ${JSON.stringify(evil)}: "y"}`);
        module.assigned = [{ name: evil, line: 1, value: { call: "flask.Flask", args: [] } }];
      }
      cache.files.push({ path: "../../etc/evil.py", sha256: "0".repeat(64), module: null });
      cache.files.push({ path: "__proto__", sha256: "0".repeat(64), module: null });
    });
    const after = await said(space);
    expect(after).not.toMatch(/^::error/m);
    expect(after).not.toContain("\u001b");
    expect(after).toContain(before.split("\n").find((line) => line.includes("DEBUG is True")));
    expect(({} as Record<string, unknown>).app).toBeUndefined();
    expect(cached(space).files.map(({ path }) => path)).not.toContain("../../etc/evil.py");
  });
});

test("Python reads no link to what has no end", async () => {
  using space = new Workspace(django);
  space.link("p/shop/endless.py", "/dev/zero");
  space.link("p/shop/waits.py", "pipe");
  execFileSync("mkfifo", [space.at("p/shop/pipe")]);
  chmodSync(space.at("p/shop/pipe"), 0o666);
  const skipped = (await scanned(space))?.skipped.map(([path]) => path);
  expect(skipped).toEqual(["old/two.py", "shop/endless.py", "shop/waits.py"]);
});
