import { describe, expect, it } from "vitest";
import { admits, alternativesOf, pythonMarker } from "../../../shared/dependencies/poetry-versions.ts";
import { readDependencies } from "../../../shared/dependencies/read-dependencies.ts";
import { requirementLine } from "../../../shared/dependencies/requirement.ts";
import { projectOf } from "./files.ts";

const pyproject = `
[tool.poetry]
name = "shop"
package-mode = false
[tool.poetry.dependencies]
python = "^3.9"
flask = "^2.2"
common = {path = "libs/common", develop = true}
lib = {git = "https://git.example.com/lib.git", branch = "main"}
redis = {version = "^5.0", optional = true}
tzdata = {version = "*", markers = "sys_platform == 'win32'"}
[tool.poetry.extras]
queue = ["redis"]
[tool.poetry.group.dev.dependencies]
pytest = "^8"
`;

const packages = `
[[package]]
name = "common"
version = "1.0"
optional = false
python-versions = "*"
files = []
[package.source]
type = "directory"
url = "libs/common"

[[package]]
name = "Flask"
version = "2.2.2"
optional = false
python-versions = ">=3.7"
files = [
    {file = "Flask-2.2.2-py3-none-any.whl", hash = "sha256:aa"},
    {file = "Flask-2.2.2.tar.gz", hash = "sha256:bb"},
]
[package.dependencies]
click = ">=8.0"
importlib-metadata = {version = ">=3.6.0", markers = "python_version < \\"3.10\\""}
[package.extras]
async = ["asgiref (>=3.2)"]

[[package]]
name = "click"
version = "8.1.3"
optional = false
python-versions = ">=3.7"
files = [{file = "click.whl", hash = "sha256:cc"}]
[package.dependencies]
colorama = {version = "*", markers = "platform_system == \\"Windows\\""}

[[package]]
name = "colorama"
version = "0.4.6"
optional = false
python-versions = "*"
files = []

[[package]]
name = "importlib-metadata"
version = "6.0.0"
optional = false
python-versions = ">=3.7"
files = []

[[package]]
name = "lib"
version = "2.0"
optional = false
python-versions = "*"
files = []
[package.source]
type = "git"
url = "https://git.example.com/lib.git"
reference = "main"
resolved_reference = "0123456789abcdef0123456789abcdef01234567"

[[package]]
name = "pytest"
version = "8.0.0"
optional = false
python-versions = "*"
files = []

[[package]]
name = "redis"
version = "5.0.1"
optional = true
python-versions = "*"
files = []
[package.source]
type = "legacy"
url = "https://index.example.com/simple"
reference = "own"

[[package]]
name = "tzdata"
version = "2024.1"
optional = false
python-versions = "*"
files = []

[metadata]
lock-version = "2.0"
python-versions = "^3.9"
content-hash = "00"
`;

function read(files: Record<string, string>, given = "poetry.lock") {
  const found = readDependencies(projectOf(files), given);
  return { ...found, lines: (found?.requirements ?? []).map(requirementLine).toSorted() };
}

describe("poetry.lock", () => {
  const files = { "pyproject.toml": pyproject, "poetry.lock": packages };

  it("becomes the exact requirements of the main group", () => {
    expect(read(files).lines).toEqual([
      "./libs/common",
      "click==8.1.3 \\\n    --hash=sha256:cc",
      'colorama==0.4.6 ; platform_system == "Windows"',
      "flask==2.2.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb",
      'importlib-metadata==6.0.0 ; python_version < "3.10"',
      "lib @ git+https://git.example.com/lib.git@0123456789abcdef0123456789abcdef01234567",
      "tzdata==2024.1 ; sys_platform == 'win32'",
    ]);
  });

  it("gives extras and groups that are asked for, with the index they come from", () => {
    const found = read(files, "poetry.lock[queue]:dev");
    expect(found.lines).toEqual(expect.arrayContaining(["pytest==8.0.0", "redis==5.0.1"]));
    expect(found.indexes).toEqual(["https://pypi.org/simple", "https://index.example.com/simple"]);
  });

  it("of a project that writes its dependencies as PEP 621 is walked from these", () => {
    const standard = '[project]\nname = "shop"\ndependencies = ["flask (>=2.2,<3)"]\n';
    expect(read({ ...files, "pyproject.toml": standard }).lines).toHaveLength(4);
  });

  it("of an older Poetry leaves out setuptools, and stays exact", () => {
    const old =
      '[[package]]\nname = "gunicorn"\nversion = "20.0.4"\noptional = false\npython-versions = "*"\n[package.dependencies]\nsetuptools = ">=3.0"\n';
    const own = '[tool.poetry.dependencies]\ngunicorn = "^20"\n';
    const { lines, locked, warnings } = read({ "pyproject.toml": own, "poetry.lock": old });
    expect({ lines, locked, warnings }).toEqual({ lines: ["gunicorn==20.0.4"], locked: true, warnings: [] });
  });

  it("before version 2 has its hashes at the end", () => {
    const old = `
[[package]]
name = "flask"
version = "2.2.2"
category = "main"
optional = false
python-versions = "*"
[metadata.files]
flask = [{file = "flask.whl", hash = "sha256:aa"}]
`;
    const own = '[tool.poetry.dependencies]\nflask = "*"\n';
    expect(read({ "pyproject.toml": own, "poetry.lock": old }).lines).toEqual([
      "flask==2.2.2 \\\n    --hash=sha256:aa",
    ]);
  });

  it("with two versions of one package takes that which the constraint admits, each with its marker", () => {
    const two = ["1.26.4", "2.1.0"].map((version) => `[[package]]\nname = "numpy"\nversion = "${version}"\n`).join("");
    const own = `
[tool.poetry.dependencies]
numpy = [
  {version = "^1.26", python = "<3.10"},
  {version = "^2.0", python = ">=3.10"},
]
`;
    expect(read({ "pyproject.toml": own, "poetry.lock": two }).lines).toEqual([
      'numpy==1.26.4 ; python_version < "3.10"',
      'numpy==2.1.0 ; python_version >= "3.10"',
    ]);
  });
});

describe("Poetry's constraints", () => {
  it.each([
    ["^1.2.3", [[">=1.2.3", "<2"]]],
    ["^0.2.3", [[">=0.2.3", "<0.3"]]],
    ["~1.2", [[">=1.2", "<1.3"]]],
    ["1.2.*", [["==1.2.*"]]],
    [">=1.0, <2", [[">=1.0", "<2"]]],
    ["*", [[]]],
    [
      "^1.0 || ^2.0",
      [
        [">=1.0", "<2"],
        [">=2.0", "<3"],
      ],
    ],
  ])("%s is said in the words of PEP 440", (constraint, alternatives) => {
    expect(alternativesOf(constraint)).toEqual(alternatives);
  });

  it("admit versions", () => {
    expect(["1.2.2", "1.2.3", "1.9", "2.0"].map((version) => admits("^1.2.3", version))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(["1.4", "1.4.5", "1.5"].map((version) => admits("~=1.4.2", version))).toEqual([false, true, false]);
    expect([admits("!=1.2", "1.2.0"), admits("1.*", "1.7"), admits(">1,<=3", "3")]).toEqual([false, true, true]);
  });

  it("of python become markers", () => {
    expect(pythonMarker("^3.8")).toBe('python_version >= "3.8" and python_version < "4"');
    expect(pythonMarker("<3.9.1 || >=3.11")).toBe('python_full_version < "3.9.1" or python_version >= "3.11"');
    expect(pythonMarker("*")).toBe("");
  });
});
