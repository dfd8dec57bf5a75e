import { describe, expect, it } from "vitest";
import { findDependencies } from "../../../shared/dependencies/find-dependencies.ts";
import { admitsPython, namedPython, requiredPython } from "../../../shared/python-version.ts";
import { projectOf } from "./files.ts";

const of = (...names: string[]) => projectOf(Object.fromEntries(names.map((name) => [name, ""])));

describe("the file that says what a project needs", () => {
  it("is a lock before the file that it was made from, and requirements.txt before all", () => {
    expect(findDependencies(of("uv.lock", "pyproject.toml"))).toBe("uv.lock");
    expect(findDependencies(of("poetry.lock", "requirements.txt"))).toBe("requirements.txt");
    expect(findDependencies(of("Pipfile", "Pipfile.lock"))).toBe("Pipfile.lock");
    expect(findDependencies(of("requirements/base.txt", "requirements/production.txt"))).toBe(
      "requirements/production.txt",
    );
    expect(findDependencies(of("environment.yml"))).toBe("environment.yml");
    expect(findDependencies(of("app.py"))).toBeUndefined();
  });

  it("is pyproject.toml only if it names dependencies", () => {
    const named = '[project]\nname = "shop"\ndependencies = ["flask"]\n';
    expect(findDependencies(projectOf({ "pyproject.toml": named }))).toBe("pyproject.toml");
    expect(findDependencies(projectOf({ "pyproject.toml": "[tool.ruff]\n" }))).toBeUndefined();
  });

  it("may lie one folder above, in the same repository", () => {
    expect(findDependencies(of("manage.py", "../requirements.txt", "../.git/HEAD"))).toBe("../requirements.txt");
    expect(findDependencies(of("manage.py", "../requirements.txt"))).toBeUndefined();
    expect(findDependencies(of("manage.py", ".git/HEAD", "../requirements.txt", "../.git/HEAD"))).toBeUndefined();
  });

  it("is a workspace's lock for a member that has only a pyproject.toml", () => {
    const member = '[project]\nname = "shop"\ndependencies = ["flask"]\n';
    const files = { "pyproject.toml": member, "../../uv.lock": "", "../../.git/HEAD": "" };
    expect(findDependencies(projectOf(files))).toBe("../../uv.lock");
    expect(findDependencies(projectOf({ ...files, "../requirements.txt": "" }))).toBe("../../uv.lock");
  });
});

describe("the version of Python", () => {
  it.each([
    [".python-version", "3.12.4\n", "3.12"],
    [".python-version", "# ours\ncpython-3.11\n", "3.11"],
    ["runtime.txt", "python-3.10.13\n", "3.10"],
    [".tool-versions", "nodejs 20\npython 3.13.0\n", "3.13"],
    ["Pipfile", '[requires]\npython_version = "3.9"\n', "3.9"],
  ])("stands in %s", (file, text, version) => {
    expect(namedPython(projectOf({ [file]: text }))).toEqual({ version, file });
    const above = projectOf({ [`../${file}`]: text, "../.git/HEAD": "" });
    expect(namedPython(above)).toEqual({ version, file: `../${file}` });
  });

  it("is not read from the name of an environment, nor above the repository", () => {
    expect(namedPython(projectOf({ ".python-version": "shop-env\n" }))).toBeUndefined();
    expect(namedPython(projectOf({ "../.python-version": "3.12\n" }))).toBeUndefined();
  });

  it("has a range in pyproject.toml, also Poetry's", () => {
    expect(requiredPython(projectOf({ "pyproject.toml": '[project]\nrequires-python = ">=3.12"\n' }))?.range).toBe(
      ">=3.12",
    );
    const poetry = '[tool.poetry.dependencies]\npython = "^3.10"\n';
    expect(requiredPython(projectOf({ "pyproject.toml": poetry }))?.range).toBe("^3.10");
  });

  it.each([
    [">=3.12", "3.11", false],
    [">=3.11,<4", "3.13", true],
    ["^3.10", "3.9", false],
    [">=3.9,<3.13", "3.13", false],
    [">=3.9,<3.13.1", "3.13", true],
    ["~=3.11", "3.12", true],
    ["==3.11.*", "3.11", true],
    ["3.11", "3.12", false],
    ["!=3.9.1,>=3.8", "3.9", true],
    [">3.10.2", "3.10", true],
    [">=3", "3.8", true],
  ])("%s admits %s: %s", (range, version, admitted) => {
    expect(admitsPython(range, version)).toBe(admitted);
  });
});
