import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { projectFiles } from "../../../action/project/project-files.ts";
import { exportCommand, exportedLock, parseExport } from "../../../action/python/lock-export.ts";
import { hostRequirements } from "../../../action/python/pip-plan.ts";
import { vendorWheels } from "../../../action/python/wheels.ts";
import { parseSource } from "../../../shared/dependencies/form.ts";
import { readDependencies } from "../../../shared/dependencies/read-dependencies.ts";
import { requirementLine } from "../../../shared/dependencies/requirement.ts";
import { wheelhouse } from "../wheelhouse.ts";
import { configOf, refusal, type Workspace } from "../workspace.ts";
import { pipContext } from "./pip-context.ts";

const wheelName = "greeting-1.0-py3-none-any.whl";
const uses = (requirements: string) => configOf({ python: { requirements } });

function hashOf(space: Workspace): string {
  return createHash("sha256")
    .update(readFileSync(space.at(`house/${wheelName}`)))
    .digest("hex");
}

/** The names of the wheels that pip got. */
async function wheelsFor(space: Workspace, requirements: string): Promise<string[]> {
  const { files } = await vendorWheels(uses(requirements), pipContext(space));
  return files.map(({ path }) => path.replace("wheels/", "")).toSorted();
}

/** A package of source code that setuptools builds without an index. */
function writePackage(space: Workspace, place: string, name = "common"): void {
  space.write(
    `${place}/setup.py`,
    `from setuptools import setup\nsetup(name="${name}", version="1.0", packages=["${name}"])\n`,
  );
  space.write(`${place}/${name}/__init__.py`, "TEXT = 'shared'\n");
}

/** pip builds with what is installed, as there is no index to get setuptools from. */
const noIsolation = { pipArguments: ["--no-build-isolation"] };

describe("requirements in every encoding", () => {
  it.each([
    ["UTF-16, as PowerShell writes it", Buffer.from("\ufeffgreeting==1.0\r\n", "utf16le")],
    ["UTF-8 with a mark", Buffer.from("\ufeffgreeting==1.0\n")],
    [
      "another one, named in a comment",
      Buffer.from("# -*- coding: latin-1 -*-\n# d\u00e9pendances\ngreeting==1.0\n", "latin1"),
    ],
  ])("%s: pip gets the wheels, and they are used again", async (_, bytes) => {
    using space = wheelhouse();
    space.write("p/requirements.txt", bytes);
    expect(await wheelsFor(space, "requirements.txt")).toEqual([wheelName]);
    expect(await vendorWheels(configOf(), pipContext(space))).toMatchObject({ reused: true });
  });
});

describe("a lock", () => {
  const uvLock = (hash: string) => `
version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "greeting" }, { name = "windows", marker = "sys_platform == 'win32'" }]
[[package]]
name = "greeting"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example.com/g.whl", hash = "sha256:${hash}" }]
[[package]]
name = "windows"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
`;

  it("gives pip exact versions with their hashes, and markers that pip honours", async () => {
    using space = wheelhouse();
    space.write("p/uv.lock", uvLock(hashOf(space)));
    expect(await wheelsFor(space, "uv.lock")).toEqual([wheelName]);
  });

  it("with another hash than the wheel's fails, as pip does not take the wheel", async () => {
    using space = wheelhouse();
    space.write("p/uv.lock", uvLock("0".repeat(64)));
    const error = await refusal(() => vendorWheels(uses("uv.lock"), pipContext(space)));
    expect(error.code).toBe("wheels_failed");
    expect(error.evidence[0]?.text).toContain("DO NOT MATCH THE HASHES");
  });

  it("is joined by python.extra in the versions of the lock, also in mode index", async () => {
    using space = wheelhouse();
    space.write("p/uv.lock", uvLock(hashOf(space)));
    const extra = (wheels?: string) =>
      configOf({ python: { requirements: "uv.lock", extra: ["greeting>=0.5"], wheels } });
    expect((await vendorWheels(extra(), pipContext(space))).files).toHaveLength(1);
    expect(readFileSync(space.at("p/.cutover/requirements/constraints.txt"), "utf8")).toContain("greeting==1.0\n");
    const host = await hostRequirements(extra("index"), pipContext(space));
    expect(readFileSync(host?.source ?? "", "utf8")).toMatch(/^greeting==1\.0\n/);
  });

  it("with directories among hashed packages installs both", async () => {
    using space = wheelhouse();
    writePackage(space, "p/libs/common");
    const local = '[[package]]\nname = "common"\nversion = "1.0"\nsource = { editable = "libs/common" }\n';
    const lock = uvLock(hashOf(space)).replace('{ name = "greeting" },', '{ name = "greeting" }, { name = "common" },');
    space.write("p/uv.lock", lock + local);
    const { files } = await vendorWheels(uses("uv.lock"), { ...pipContext(space), ...noIsolation });
    expect(files.map(({ path }) => path)).toEqual(["wheels/common-1.0-py3-none-any.whl", `wheels/${wheelName}`]);
  });

  it("is got again when it changed, and not otherwise", async () => {
    using space = wheelhouse();
    space.write("p/uv.lock", uvLock(hashOf(space)));
    const first = await vendorWheels(uses("uv.lock"), pipContext(space));
    expect(await vendorWheels(uses("uv.lock"), pipContext(space))).toMatchObject({ key: first.key, reused: true });
    space.write("p/uv.lock", uvLock(hashOf(space)).replace("files.example", "other.example"));
    // What pip gets did not change.
    expect(await vendorWheels(uses("uv.lock"), pipContext(space))).toMatchObject({ key: first.key, reused: true });
    space.write("p/uv.lock", uvLock(hashOf(space)).replace("win32", "os2"));
    expect((await vendorWheels(uses("uv.lock"), pipContext(space))).key).not.toBe(first.key);
  });

  it.each([
    ["pyproject.toml", '[project]\nname = "shop"\ndependencies = ["greeting>=1"]\n'],
    ["Pipfile", '[packages]\ngreeting = "*"\n'],
    ["Pipfile.lock", '{"default": {"greeting": {"version": "==1.0"}}}'],
    ["requirements/production.txt", "-r base.txt\n"],
    ["../requirements.txt", "greeting\n"],
  ])("or another form gives the same: %s", async (file, text) => {
    using space = wheelhouse();
    space.write("p/requirements/base.txt", "greeting\n");
    space.write(`p/${file}`, text);
    expect(await wheelsFor(space, file)).toEqual([wheelName]);
  });
});

describe("a lock's own tool", () => {
  it.each([
    [
      "uv.lock[redis]:web",
      "uv export --format requirements-txt --frozen --no-dev --no-emit-project --no-header --no-annotate --extra redis --group web",
    ],
    ["poetry.lock", "poetry export --format requirements.txt"],
    ["pdm.lock[redis]", "pdm export --prod --format requirements --group redis"],
    ["Pipfile.lock:web", "pipenv requirements --hash --categories packages,web"],
    ["pylock.toml", undefined],
  ])("exports %s", (given, command) => {
    expect(exportCommand(parseSource(given))?.join(" ")).toBe(command);
  });

  it("writes what is read with markers, hashes, paths and addresses", () => {
    const text = `-i https://index.example.com/simple
--extra-index-url https://other.example.com/simple
anyio==4.4.0 ; python_version >= "3.8" \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via starlette
-e ./libs/common
common2 @ file:///work/shop/libs/common%202
-e git+https://git.example.com/lib.git@0123456789abcdef0123456789abcdef01234567#egg=lib&subdirectory=python
Uvicorn[standard]==0.30.0
`;
    expect(parseExport(text, "/work/shop")).toEqual([
      { name: "anyio", line: "anyio==4.4.0", marker: 'python_version >= "3.8"', hashes: ["sha256:aa", "sha256:bb"] },
      { name: "", line: "./libs/common", marker: "", hashes: [] },
      { name: "common2", line: "./libs/common 2", marker: "", hashes: [] },
      {
        name: "lib",
        line: "lib @ git+https://git.example.com/lib.git@0123456789abcdef0123456789abcdef01234567#subdirectory=python",
        marker: "",
        hashes: [],
      },
      { name: "uvicorn", line: "Uvicorn[standard]==0.30.0", marker: "", hashes: [] },
    ]);
  });

  it("that fails is not missed, and one that is there is asked", async () => {
    using space = wheelhouse();
    space.write("p/poetry.lock", '[[package]]\nname = "greeting"\nversion = "1.0"\n');
    space.write("p/pyproject.toml", '[tool.poetry.dependencies]\ngreeting = "*"\n');
    space.write("bin/poetry", "#!/bin/sh\nexit 1\n", 0o755);
    const context = pipContext(space, { PATH: `${space.at("bin")}:/usr/bin:/bin` });
    expect((await vendorWheels(uses("poetry.lock"), context)).files).toHaveLength(1);
    expect(context.lines).toContain(
      "poetry export did not work (It ended with exit code 1); poetry.lock is read without it.",
    );
    space.write("bin/poetry", "#!/bin/sh\necho 'greeting==1.0 ; python_version > \"3\"'\n", 0o755);
    const again = pipContext(space, { PATH: `${space.at("bin")}:/usr/bin:/bin` });
    expect((await vendorWheels(uses("poetry.lock"), again)).files).toHaveLength(1);
    expect(again.lines).toContain("poetry.lock: as poetry export writes it.");
  });

  it("pipenv, as Debian has it, writes what is read without it", async () => {
    using space = wheelhouse();
    const entry = (version: string, more: object = {}) => ({
      version: `==${version}`,
      hashes: ["sha256:aa", "sha256:bb"],
      index: "pypi",
      ...more,
    });
    const lock = {
      _meta: {
        hash: { sha256: "00" },
        "pipfile-spec": 6,
        requires: {},
        sources: [{ name: "pypi", url: "https://pypi.org/simple", verify_ssl: true }],
      },
      default: {
        anyio: entry("4.4.0", { markers: "python_version >= '3.8'" }),
        uvicorn: entry("0.30.0", { extras: ["standard"] }),
        lib: { git: "https://git.example.com/lib.git", ref: "0123456789abcdef0123456789abcdef01234567" },
      },
      develop: { pytest: entry("8.0.0") },
    };
    space.write("p/Pipfile", '[packages]\nanyio = "*"\n');
    space.write("p/Pipfile.lock", JSON.stringify(lock));
    const exported = await exportedLock("Pipfile.lock", pipContext(space));
    const read = readDependencies(projectFiles(space.at("p")), "Pipfile.lock")?.requirements;
    expect(exported).toBeDefined();
    expect(exported?.map(requirementLine).toSorted()).toEqual(read?.map(requirementLine).toSorted());
  });
});

describe("the key of the wheels", () => {
  it("does not change while a directory of source code does not, and its wheel has the same bytes in a fresh checkout", async () => {
    using space = wheelhouse();
    writePackage(space, "p/libs/common");
    space.write("p/requirements.txt", "-e ./libs/common\n");
    const parts = () => ({ ...pipContext(space), ...noIsolation });
    const first = await vendorWheels(configOf(), parts());
    const bytes = () => readFileSync(space.at(`p/.cutover/wheels/${first.key}/common-1.0-py3-none-any.whl`));
    const before = bytes();
    expect(await vendorWheels(configOf(), parts())).toMatchObject({ reused: true, key: first.key });
    execFileSync("sh", ["-c", "rm -rf .cutover && find . -exec touch {} +"], { cwd: space.at("p") });
    expect(await vendorWheels(configOf(), parts())).toMatchObject({ reused: false, key: first.key });
    expect(bytes().equals(before)).toBe(true);
    space.write("p/libs/common/common/__init__.py", "TEXT = 'changed'\n");
    expect(await vendorWheels(configOf(), parts())).toMatchObject({ reused: false });
  });

  it("changes when a branch that the requirements name has moved", async () => {
    using space = wheelhouse();
    writePackage(space, "repository");
    const git = (...words: string[]) =>
      execFileSync("git", ["-c", "user.name=x", "-c", "user.email=x@example.com", ...words], {
        cwd: space.at("repository"),
      });
    git("init", "--quiet", "--initial-branch=main");
    git("add", ".");
    git("commit", "--quiet", "-m", "first");
    git("branch", "a/main"); // stays where it is, and git lists it first
    space.write("p/requirements.txt", `git+file://${space.at("repository")}@main#egg=common\n`);
    const parts = () => ({ ...pipContext(space, { GIT_CONFIG_GLOBAL: "/dev/null" }), ...noIsolation });
    const first = await vendorWheels(configOf(), parts());
    expect(await vendorWheels(configOf(), parts())).toMatchObject({ reused: true, key: first.key });
    space.write("repository/common/__init__.py", "TEXT = 'second'\n");
    git("commit", "--quiet", "--all", "-m", "second");
    const second = await vendorWheels(configOf(), parts());
    expect(second).toMatchObject({ reused: false });
    expect(second.key).not.toBe(first.key);
    const wheel = readdirSync(space.at(`p/.cutover/wheels/${second.key}`)).find((name) => name.endsWith(".whl")) ?? "";
    const script = "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('common/__init__.py').decode())";
    const text = execFileSync(
      "/usr/bin/python3",
      ["-c", script, space.at(`p/.cutover/wheels/${second.key}/${wheel}`)],
      { encoding: "utf8" },
    );
    expect(text).toContain("second");
  });
});

describe("wheels: index", () => {
  const index = (requirements: string) => configOf({ python: { wheels: "index", requirements } });

  it("packs a requirements file for the hosts' pip when the project has another form", async () => {
    using space = wheelhouse();
    space.write(
      "p/pylock.toml",
      '[[packages]]\nname = "greeting"\nversion = "1.0"\nwheels = [{name = "g", hashes = {sha256 = "aa"}}]\n',
    );
    const file = await hostRequirements(index("pylock.toml"), pipContext(space));
    expect(file).toMatchObject({ path: "app/.cutover/requirements.txt", mode: 0o644 });
    expect(readFileSync(file?.source ?? "", "utf8")).toBe("greeting==1.0 \\\n    --hash=sha256:aa\n");
    expect(await hostRequirements(index("requirements.txt"), pipContext(space))).toBeUndefined();
  });

  it("refuses what lies outside of the project", async () => {
    using space = wheelhouse();
    space.write("p/Pipfile.lock", '{"default": {"common": {"path": "../common"}}}');
    const error = await refusal(() => hostRequirements(index("Pipfile.lock"), pipContext(space)));
    expect(error).toMatchObject({ code: "requirements_invalid" });
    expect(error.message).toContain("names ../common, which lies outside of the project");
    space.write("requirements.txt", "-r base.txt\n");
    expect((await refusal(() => hostRequirements(index("../requirements.txt"), pipContext(space)))).code).toBe(
      "requirements_invalid",
    );
  });
});
