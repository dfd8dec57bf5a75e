import { describe, expect, it } from "vitest";
import { buildVenv } from "../../../action/python/build-venv.ts";
import { pipCommand, vendorWheels, type WheelsContext, wheelsMode } from "../../../action/python/wheels.ts";
import { execute } from "../../../action/runner/exec.ts";
import { wheelhouse } from "../wheelhouse.ts";
import { configOf, never, refusal, refusalCode, Workspace } from "../workspace.ts";

function context(space: Workspace, env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = [];
  const made: WheelsContext & { lines: string[] } = {
    directory: space.at("p"),
    env: { PATH: "/usr/bin:/bin", HOME: space.path, PIP_NO_INDEX: "1", PIP_FIND_LINKS: space.at("house"), ...env },
    exec: execute,
    signal: never,
    pipArguments: [],
    onLine: (line) => lines.push(line),
    lines,
  };
  return made;
}

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

  it("need an interpreter", async () => {
    using space = wheelhouse();
    const error = refusalCode(() => vendorWheels(configOf(), context(space, { PATH: space.path })));
    expect(await error).toBe("python_not_found");
  });

  it("for a Python that the machine lacks are downloaded, never built", () => {
    const python = { program: "/usr/bin/python3", version: "3.11", machine: "x86_64" };
    expect(pipCommand(python, "3.11", "r.txt", "/w")).toContain("wheel");
    expect(pipCommand(python, "3.12", "r.txt", "/w").join(" ")).toBe(
      "/usr/bin/python3 -m pip download --progress-bar off --only-binary :all: --python-version 3.12 --implementation cp --platform manylinux2014_x86_64 --requirement r.txt --dest /w",
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
