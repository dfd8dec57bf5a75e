import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { buildVenv } from "../../../action/python/build-venv.ts";
import { findPython } from "../../../action/python/interpreter.ts";
import { readRequirements } from "../../../action/python/requirements.ts";
import { pipCommand, vendorWheels, type WheelsContext, wheelsMode } from "../../../action/python/wheels.ts";
import { execute } from "../../../action/runner/exec.ts";
import { pythonVersion, wheelhouse } from "../wheelhouse.ts";
import { configOf, never, refusal, refusalCode, Workspace } from "../workspace.ts";
import { pipContext as context } from "./pip-context.ts";

describe("python.wheels", () => {
  it("is vendor with requirements and none without, and what it names must be there", async () => {
    using space = new Workspace();
    expect(wheelsMode(configOf(), space.path)).toBe("none");
    expect(await refusalCode(() => wheelsMode(configOf({ python: { wheels: "index" } }), space.path))).toBe(
      "config_invalid",
    );
    space.write("requirements.txt", "");
    expect(wheelsMode(configOf(), space.path)).toBe("vendor");
  });
});

describe("vendored wheels", () => {
  it("come from pip, with PIP_ variables honoured, and are used again while nothing changed", async () => {
    using space = wheelhouse();
    const first = await vendorWheels(configOf(), context(space));
    expect(first.files.map(({ path }) => path)).toEqual(["wheels/greeting-1.0-py3-none-any.whl"]);
    expect(first).toMatchObject({ reused: false, platformSpecific: false });

    const again = context(space);
    expect(await vendorWheels(configOf(), again)).toMatchObject({ reused: true, key: first.key });
    expect(again.lines).toEqual([]);

    space.write("p/requirements.txt", "greeting==1.0\n");
    expect(await vendorWheels(configOf(), context(space))).toMatchObject({ reused: false });
  });

  it("include python.extra, also without a requirements file", async () => {
    using space = wheelhouse();
    const plain = await vendorWheels(configOf(), context(space));
    const extra = configOf({ python: { extra: ["greeting==1.0"] } });
    const both = await vendorWheels(extra, context(space));
    expect([both.files.map(({ path }) => path), both.key === plain.key]).toEqual([
      ["wheels/greeting-1.0-py3-none-any.whl"],
      false,
    ]);
    rmSync(space.at("p/requirements.txt"));
    expect(wheelsMode(extra, space.at("p"))).toBe("vendor");
    expect((await vendorWheels(extra, context(space))).files.map(({ path }) => path)).toEqual([
      "wheels/greeting-1.0-py3-none-any.whl",
    ]);
  });

  it("are got again when a file that the requirements include has changed", async () => {
    using space = wheelhouse();
    space.write("p/requirements.txt", "-r base.txt\n");
    space.write("p/base.txt", "greeting\n");
    const { key } = await vendorWheels(configOf(), context(space));
    space.write("p/base.txt", "greeting>=1\n");
    expect((await vendorWheels(configOf(), context(space))).key).not.toBe(key);
  });

  it("that cannot be resolved fail with pip's own message", async () => {
    using space = wheelhouse();
    space.write("p/requirements.txt", "no-such-thing==9\n");
    const error = await refusal(() => vendorWheels(configOf(), context(space)));
    expect(error.code).toBe("wheels_failed");
    expect(error.evidence[0]?.text).toContain("No matching distribution found for no-such-thing==9");
    expect(await refusalCode(() => vendorWheels(configOf(), context(space)))).toBe("wheels_failed");
  });

  it("say that the index refuses the job, which pip itself tells nobody, and leave no log of pip's", async () => {
    using space = wheelhouse();
    const server = createServer((_request, response) => response.writeHead(401).end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    space.write("p/requirements.txt", "acme-billing==2.1\n");
    const env = { PIP_NO_INDEX: "", PIP_INDEX_URL: `http://ci:hunter2@127.0.0.1:${port}/simple` };
    const error = await refusal(() => vendorWheels(configOf(), context(space, env)));
    expect(error.message).toContain("The package index does not let this job in (401)");
    expect(error.fix).toContain("Give it a user and a password");
    expect(JSON.stringify(error.evidence)).not.toContain("hunter2");
    expect(readdirSync(space.at("p"), { recursive: true }).join()).not.toContain("pip.log");
  });

  it("need an interpreter", async () => {
    using space = wheelhouse();
    const error = refusalCode(() => vendorWheels(configOf(), context(space, { PATH: space.path })));
    expect(await error).toBe("python_not_found");
  });

  it("for a Python that the machine lacks are downloaded, never built", () => {
    const python = { program: "/usr/bin/python3", version: "3.11", machine: "x86_64", libc: "glibc 2.18", build: "" };
    expect(pipCommand(python, "3.11", ["-r", "r.txt"], "/w")).toContain("wheel");
    expect(pipCommand(python, "3.12", ["-r", "r.txt", "gunicorn"], "/w").join(" ")).toBe(
      "/usr/bin/python3 -m pip download --progress-bar off --only-binary :all: --python-version 3.12 --implementation cp --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform linux_x86_64 -r r.txt gunicorn --dest /w",
    );
  });

  it("make the environment that collects static files", async () => {
    using space = wheelhouse();
    const parts = context(space);
    const wheels = await vendorWheels(configOf(), parts);
    if (wheels.interpreter === undefined) throw new Error("no interpreter");
    const bin = await buildVenv(configOf(), wheels, wheels.interpreter, parts);
    const argv = [`${bin}/python`, "-c", "import greeting; print(greeting.TEXT)"];
    expect((await execute({ argv, cwd: space.path, env: {}, signal: never })).stdout).toBe("hello");
  });
});

describe("A3: wheels of an earlier run", () => {
  /** Whether they are used again after this change. */
  async function usedAgain(
    files: Record<string, string>,
    change: (space: Workspace) => void,
    more: Partial<WheelsContext> = {},
  ) {
    using space = wheelhouse();
    for (const [name, text] of Object.entries(files)) space.write(`p/${name}`, text);
    const parts = { ...context(space), ...more, env: { ...context(space).env, ...more.env } };
    const first = await vendorWheels(configOf(), parts);
    change(space);
    const second = await vendorWheels(configOf(), parts);
    return second.reused && second.key === first.key;
  }
  const constraint = (space: Workspace) => space.write("p/c.txt", "greeting<2\n");

  it("are got again when constraints among the arguments have changed", async () => {
    expect(await usedAgain({ "c.txt": "greeting\n" }, constraint, { pipArguments: ["-c", "c.txt"] })).toBe(false);
    expect(await usedAgain({ "c.txt": "greeting\n" }, constraint, { pipArguments: ["--constraint=c.txt"] })).toBe(
      false,
    );
  });

  it("are got again when the file in PIP_CONSTRAINT has changed", async () => {
    expect(await usedAgain({ "c.txt": "greeting\n" }, constraint, { env: { PIP_CONSTRAINT: "c.txt" } })).toBe(false);
  });

  it("are got again when a quoted file of requirements has changed", async () => {
    const files = { "requirements.txt": "-r 'base file.txt'\n", "base file.txt": "greeting\n" };
    expect(await usedAgain(files, (space) => space.write("p/base file.txt", "greeting>=1\n"))).toBe(false);
  });

  it("are got again when a wheel in a folder of wheels was replaced", async () => {
    const replace = (space: Workspace) => {
      const wheel = readdirSync(space.at("house")).find((name) => name.endsWith(".whl")) ?? "";
      execFileSync("/usr/bin/python3", ["-c", replaceText, space.at(`house/${wheel}`)]);
    };
    expect(await usedAgain({}, replace)).toBe(false);
    expect(await usedAgain({}, () => undefined)).toBe(true);
  });
  const replaceText = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'a').writestr('more.py', '')";

  it.each([
    "vendor/mypkg",
    "libs/x[extra]",
    "./x",
    "-e ./x",
    "x.whl",
    "x @ hg+https://example.com/x@main",
    "--find-what y",
  ])("are never used again with %s, whose content nothing here covers", (line) => {
    using space = new Workspace({ "requirements.txt": `greeting\n${line}\n` });
    const input = { directory: space.path, requirements: ["requirements.txt"], arguments: [], env: {} };
    expect(readRequirements(input).complete).toBe(false);
  });

  it.each([
    "Django>=4.2,<5",
    "a[b,c]==1.0 ; python_version < '3.12'",
    "a --hash=sha256:00",
    "a~=1.0  # why",
    "-i https://example.com",
    "--pre",
  ])("are used again with %s", (line) => {
    using space = new Workspace({ "requirements.txt": `${line}\n` });
    const input = { directory: space.path, requirements: ["requirements.txt"], arguments: [], env: {} };
    expect(readRequirements(input).complete).toBe(true);
  });
});

describe("A4: the environment that collects static files", () => {
  it("is made again for another installation of Python, and for another place of the project", async () => {
    using space = wheelhouse();
    const parts = context(space);
    const wheels = await vendorWheels(configOf(), parts);
    const interpreter = wheels.interpreter;
    if (interpreter === undefined) throw new Error("no interpreter");
    const bin = await buildVenv(configOf(), wheels, interpreter, parts);
    expect(await buildVenv(configOf(), wheels, interpreter, parts)).toBe(bin);
    const patched = { ...interpreter, build: interpreter.build.replace(/3\.\d+\.\d+/, "3.99.99") };
    expect(await buildVenv(configOf(), wheels, patched, parts)).not.toBe(bin);
  });
});

describe("A12: wheels for a Python that the machine lacks", () => {
  it("are those that run with this machine's C library, the newest first", async () => {
    using space = wheelhouse();
    const python = await findPython(configOf(), context(space));
    const words = pipCommand(python, "3.99", ["-r", "r.txt"], "/w");
    const platforms = words.filter((_, index) => words[index - 1] === "--platform");
    expect(platforms[0]).toBe(`manylinux_2_${python.libc.split(".")[1]}_${python.machine}`);
    expect(platforms).toContain(`manylinux2014_${python.machine}`);
    const musl = pipCommand({ ...python, libc: "" }, "3.99", ["-r", "r.txt"], "/w");
    expect(musl).toContain(`musllinux_1_2_${python.machine}`);
  });

  it("are found by pip", async () => {
    const version = pythonVersion() === "3.12" ? "3.13" : "3.12";
    const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
    using space = wheelhouse(`cp${version.replace(".", "")}-none-manylinux_2_28_${machine}`);
    const wheels = await vendorWheels(configOf({ python: { version } }), context(space));
    expect(wheels).toMatchObject({ version, interpreter: undefined });
    expect(wheels.files).toHaveLength(1);
  });
});

describe("A25: .cutover", () => {
  it("keeps the few directories that were used last", async () => {
    using space = wheelhouse();
    const keys: string[] = [];
    for (const line of ["greeting", "greeting>=1", "greeting>=0.9", "greeting>=0.8", "greeting>=0.7", "greeting"]) {
      space.write("p/requirements.txt", `${line}\n`);
      keys.push((await vendorWheels(configOf(), context(space))).key);
    }
    expect(readdirSync(space.at("p/.cutover/wheels")).toSorted()).toEqual([...new Set(keys.slice(-4))].toSorted());
  });
});
