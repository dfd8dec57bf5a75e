import { describe, expect, it } from "vitest";
import { builtHere, checkWheels } from "../../../action/hosts/wheel-fit.ts";
import type { Interpreter } from "../../../action/python/interpreter.ts";
import type { HostView } from "../../../shared/app-view.ts";
import { CutoverError } from "../../../shared/errors.ts";

const from: Interpreter = { program: "python3", version: "3.11", machine: "x86_64", libc: "glibc 2.39", build: "" };
const debian12: HostView = { machine: "x86_64", glibc: "2.36", pythons: ["3.11"] };

const wheels = (...files: string[]) => ({
  files: files.map((file) => ({ path: `wheels/${file}`, source: "", mode: 0o644 as const })),
  version: "3.11",
  from,
});

/** What is said of wheels for a host. */
function fault(files: string[], view: HostView = debian12, version: string | undefined = "3.11", libc = from.libc) {
  try {
    checkWheels({ ...wheels(...files), from: { ...from, libc } }, version, { name: "web1", view });
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    expect(thrown).toMatchObject({ code: "wheels_unfit", unchanged: "Nothing was sent." });
    return { message: thrown.message, fix: thrown.fix };
  }
  return undefined;
}

describe("wheels", () => {
  it.each([
    "a-1.0-py3-none-any.whl",
    "a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "a-1.0-cp38-abi3-manylinux_2_36_x86_64.whl",
    "a-1.0-1-cp311-cp311-manylinux1_x86_64.whl",
    "a-1.0-cp311-cp311-manylinux_2_38_x86_64.manylinux_2_28_x86_64.whl",
  ])("that fit the host: %s", (file) => {
    expect(fault([file])).toBeUndefined();
  });

  it("that were built on a runner with a newer glibc are refused, with the runner and the container to choose", () => {
    expect(fault(["uwsgi-2.0-cp311-cp311-linux_x86_64.whl"])).toEqual({
      message:
        "uwsgi-2.0-cp311-cp311-linux_x86_64.whl does not fit web1: it was built on this runner, whose glibc is 2.39, and the host has 2.36.",
      fix: "Write `runs-on: ubuntu-22.04` for this job; or run the job in a container as old as the host: `container: debian:12`, with its python3, python3-pip and git.",
    });
    expect(fault(["uwsgi-2.0-cp311-cp311-linux_x86_64.whl"], debian12, "3.11", "glibc 2.35")).toBeUndefined();
  });

  it("that need a newer glibc are refused", () => {
    const found = fault(["a-1.0-cp311-cp311-manylinux_2_38_x86_64.whl"]);
    expect(found?.message).toContain("it needs glibc 2.38, and the host has 2.36");
    const old = { ...debian12, glibc: "2.31" };
    expect(fault(["a-1.0-cp311-cp311-manylinux_2_38_x86_64.whl"], old)?.fix).toMatch(
      /^Run the job in a container.*debian:11/,
    );
  });

  it("for another processor or C library are refused", () => {
    expect(fault(["a-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"])?.message).toContain("another processor than x86_64");
    expect(fault(["a-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"])?.message).toContain("another C library");
    const { glibc: _, ...alpine } = debian12;
    expect(fault(["a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"], alpine)?.message).toContain("another C library");
    expect(fault(["a-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"], alpine)).toBeUndefined();
  });

  it("for a Python that the host lacks are refused", () => {
    const debian13 = { ...debian12, glibc: "2.41", pythons: ["3.13", "3.9"] };
    expect(fault(["a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"], debian13)).toEqual({
      message: "The release is for Python 3.11, and web1 has 3.13, 3.9.",
      fix: 'Write `python-version: "3.13"` below actions/setup-python and `version: "3.13"` below `python` in cutover.yml, or install python3.11 on the host.',
    });
    expect(fault(["a-1.0-py3-none-any.whl"], { ...debian13, pythons: [] })).toBeUndefined();
  });

  it("that were built here are known by their platform", () => {
    expect(builtHere(wheels("a-1-py3-none-any.whl", "b-1-cp311-cp311-linux_x86_64.whl"))).toEqual([
      "b-1-cp311-cp311-linux_x86_64.whl",
    ]);
  });
});
