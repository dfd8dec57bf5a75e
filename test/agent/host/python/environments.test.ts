import { execFileSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeWheel } from "../../../fixtures/wheel.ts";
import { scratch } from "../scratch.ts";
import { first, greeting, host, second, vendored } from "./environment-host.ts";

describe("an environment", () => {
  test("gets the vendored wheels, and only those", async () => {
    const { build, python, layout, lines } = host();
    const { key, reused } = await build(vendored());
    expect(reused).toBe(false);
    expect(key).toMatch(/^[0-9a-f]{16}$/);
    expect(readlinkSync(layout.releaseVenv(first))).toBe(`../../venvs/${key}`);
    expect(python(first, "-c", "import greeting_kit; print(greeting_kit.WORD)")).toBe("good day\n");
    expect(lines.some((line) => line.startsWith("pip: "))).toBe(true);
    expect(readdirSync(layout.release(first)).sort()).toEqual([
      "app",
      "config.json",
      "manifest.json",
      "venv",
      "wheels",
    ]);
  });

  test("is shared by releases with the same wheels and remade for others", async () => {
    const { build, layout } = host();
    const one = await build(vendored());
    const two = await build({ ...vendored({ "app/new.py": "" }), release: second });
    expect(two).toMatchObject({ key: one.key, reused: true });
    const newer = makeWheel("greeting_kit", "1.2.1", "WORD = 'hello'\n");
    const three = await build({
      files: { [newer.path]: newer.content },
      config: { python: { wheels: "vendor" } },
      release: "20261121T105000Z-3f2c1ad",
    });
    expect(three.reused).toBe(false);
    expect(readdirSync(layout.venvs).sort()).toEqual([one.key, three.key].sort());
  });

  test("that two builds need at once is made once", async () => {
    const { build, steps } = host();
    const builds = await Promise.all([build(vendored()), build({ ...vendored(), release: second })]);
    expect(builds.map(({ reused }) => reused).sort()).toEqual([false, true]);
    expect(steps.filter(({ input }) => input?.includes('"pip"'))).toHaveLength(1);
  });

  test("that was not finished is made anew", async () => {
    const { build, environments, layout, python } = host();
    const { context, key } = await build(vendored());
    rmSync(join(layout.venv(key), ".complete"));
    rmSync(join(layout.venv(key), "lib"), { recursive: true });
    expect(await environments.build(context)).toEqual({ key, reused: false });
    expect(python(first, "-c", "import greeting_kit")).toBe("");
  });

  test("is removed when no kept release links to it", async () => {
    const { build, environments, layout } = host();
    const one = await build(vendored());
    const two = await build({ release: second, config: { python: { wheels: "none" } } });
    mkdirSync(layout.venv("0123456789abcdef"));
    await environments.prune("shop", [second]);
    expect(readdirSync(layout.venvs)).toEqual([two.key]);
    expect(one.key).not.toBe(two.key);
    expect(existsSync(layout.release(first))).toBe(true);
  });

  test("that was removed is made again for a sealed release, from its own wheels and with its bytecode", async () => {
    const { build, environments, layout, python, steps } = host();
    const { context, key } = await build(vendored({ "app/shop.py": "x = 1\n" }));
    expect(await environments.present("shop", first)).toBe(true);
    await environments.prune("shop", []);
    expect([existsSync(layout.venv(key)), await environments.present("shop", first)]).toEqual([false, false]);
    steps.length = 0;
    expect(await environments.build(context)).toEqual({ key, reused: false });
    expect(await environments.present("shop", first)).toBe(true);
    expect(python(first, "-c", "import greeting_kit; print(greeting_kit.WORD)")).toBe("good day\n");
    expect(steps.filter(({ argv }) => argv.join(" ").includes("marshal"))).toEqual([]);
  });

  test("reads nothing of the repository's requirements when wheels are vendored", async () => {
    const { build, python } = host();
    const hostile = "-e .\n--find-links /\nevil @ file:///nowhere/evil-1-py3-none-any.whl\n";
    await build(vendored({ "app/requirements.txt": hostile, "app/setup.py": "raise SystemExit('ran')\n" }));
    expect(python(first, "-c", "import greeting_kit")).toBe("");
  });

  test("comes from the repository's requirements in mode index", async () => {
    const { build, python } = host();
    await build({
      files: {
        "app/requirements.txt": "-r requirements/base.txt\n",
        "app/requirements/base.txt": "--no-index\n--find-links ../wheels\ngreeting-kit==1.2.0\n",
        [greeting.path]: greeting.content,
      },
      config: { python: { wheels: "index" } },
    });
    expect(python(first, "-c", "import greeting_kit")).toBe("");
  });

  test("gets python.extra besides the requirements in mode index", async () => {
    const { build, python } = host();
    const files = { "app/requirements.txt": "--no-index\n--find-links ../wheels\n", [greeting.path]: greeting.content };
    await build({ files, config: { python: { wheels: "index", extra: ["greeting-kit==1.2.0"] } } });
    expect(python(first, "-c", "import greeting_kit")).toBe("");
  });

  test("sees the distribution's packages only when asked", async () => {
    const { build, python } = host();
    const flags = "import sys, site; print(any('dist-packages' in p for p in sys.path))";
    await build({ config: { python: { wheels: "none", system_site_packages: true } } });
    await build({ release: second, config: { python: { wheels: "none" } } });
    expect(python(first, "-c", flags)).toBe("True\n");
    expect(python(second, "-c", flags)).toBe("False\n");
  });
});

describe("a build is refused", () => {
  test("with pip's own words, and leaves no environment", async () => {
    const { build, layout } = host();
    const broken = { "wheels/broken-1.0-py3-none-any.whl": "not a zip" };
    const refusal = build({ files: broken, config: { python: { wheels: "vendor" } } });
    await expect(refusal).rejects.toMatchObject({
      code: "environment_failed",
      evidence: [{ source: "pip", text: expect.stringContaining("broken") }],
    });
    expect(readdirSync(layout.venvs)).toEqual([]);
  });

  test("for a file that only looks like a wheel", async () => {
    const { build } = host();
    const files = { "wheels/x --index-url=http-1-py3-none-any.whl": "" };
    await expect(build({ files, config: { python: { wheels: "vendor" } } })).rejects.toMatchObject({
      code: "environment_failed",
    });
  });

  test("for a Python that the host lacks, naming those it has", async () => {
    const directory = scratch();
    symlinkSync("/usr/bin/python3", join(directory, "python3"));
    const { build } = host([directory]);
    await expect(build({ config: { python: { wheels: "none", version: "3.99" } } })).rejects.toMatchObject({
      code: "python_not_found",
      message: expect.stringContaining(join(directory, "python3")),
    });
  });

  test("for a host whose Python has neither pip nor its wheel, and says so", async () => {
    const directory = scratch();
    execFileSync("/usr/bin/python3", ["-m", "venv", "--without-pip", directory]);
    const hidden =
      'import sys, sysconfig; sys.modules["ensurepip"] = None; sysconfig.get_config_var = lambda name, own=sysconfig.get_config_var: None if name == "WHEEL_PKG_DIR" else own(name)\n';
    const [site = ""] = globSync("lib/python3*/site-packages", { cwd: directory });
    writeFileSync(join(directory, site, "hidden.pth"), hidden);
    const { build } = host([join(directory, "bin")]);
    await expect(build(vendored())).rejects.toMatchObject({
      code: "environment_failed",
      message: expect.stringContaining("has no pip"),
      fix: expect.stringContaining("python3-venv"),
    });
  });

  test("when it is aborted, and leaves no environment", async () => {
    const { build, layout } = host();
    const signal = AbortSignal.timeout(60);
    await expect(build(vendored(), { signal })).rejects.toMatchObject({ code: "aborted" });
    expect(readdirSync(layout.venvs)).toEqual([]);
  });
});

describe("bytecode", () => {
  const none = { python: { wheels: "none" } };
  const files = {
    "app/same.py": "def fail():\n    raise ValueError('here')\n",
    "app/changed.py": "VALUE = 1\n",
    "app/template.py": "this is {{ no }} Python\n",
  };
  const pyc = (app: string, name: string) =>
    join(app, "__pycache__", readdirSync(join(app, "__pycache__")).find((file) => file.startsWith(`${name}.`)) ?? "");

  test("of unchanged files is the same file, and shows the new path in tracebacks", async () => {
    const { build, python, layout } = host();
    await build({ files, config: none });
    const changed = { ...files, "app/changed.py": "VALUE = 2\n" };
    const [before, after] = [layout.app(first), layout.app(second)];
    await build({ files: changed, config: none, release: second });
    expect(statSync(pyc(after, "same")).ino).toBe(statSync(pyc(before, "same")).ino);
    expect(statSync(pyc(after, "changed")).ino).not.toBe(statSync(pyc(before, "changed")).ino);
    const script =
      "import changed, same, traceback\nprint(changed.VALUE, same.__cached__)\ntry: same.fail()\nexcept ValueError: print(traceback.format_exc())";
    const output = python(second, "-B", "-c", script);
    expect(output).toContain(`2 ${pyc(after, "same")}`);
    expect(output).toContain(`File "${after}/same.py", line 2, in fail`);
    expect(output).not.toContain(first);
  });

  test("is loaded without a look at the source", async () => {
    const { build, layout } = host();
    await build({ files, config: none });
    const header = execFileSync("od", ["-An", "-j4", "-N4", "-tu4", pyc(layout.app(first), "same")], {
      encoding: "utf8",
    });
    // Bit 0: by hash; bit 1, to check the source, is not set.
    expect(Number(header)).toBe(1);
  });

  test("is made for the rest when one file does not compile", async () => {
    const { build, layout } = host();
    await build({ files, config: none });
    const made = readdirSync(join(layout.app(first), "__pycache__")).map((file) => file.split(".")[0]);
    expect(made.sort()).toEqual(["changed", "same"]);
  });
});
