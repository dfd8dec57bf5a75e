import { describe, expect, it } from "vitest";
import { readDependencies } from "../../../shared/dependencies/read-dependencies.ts";
import { requirementLine } from "../../../shared/dependencies/requirement.ts";
import { projectOf } from "./files.ts";

const pyproject = `
[project]
name = "Shop_App"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["fastapi", "uvicorn[standard]>=0.30", "common", "lib"]
[project.optional-dependencies]
redis = ["redis"]
[dependency-groups]
dev = ["pytest"]
`;

const lock = (root = 'virtual = "."') => `
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "shop-app"
version = "0.1.0"
source = { ${root} }
dependencies = [
    { name = "common" },
    { name = "fastapi" },
    { name = "lib" },
    { name = "uvicorn", extra = ["standard"] },
]

[package.optional-dependencies]
redis = [
    { name = "redis" },
]

[package.dev-dependencies]
dev = [
    { name = "pytest" },
]

[[package]]
name = "common"
version = "1.0"
source = { editable = "libs/common" }
dependencies = [{ name = "anyio" }]

[[package]]
name = "lib"
version = "2.0"
source = { git = "https://git.example.com/lib?rev=main&subdirectory=python#0123456789abcdef0123456789abcdef01234567" }

[[package]]
name = "fastapi"
version = "0.115.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "anyio" }, { name = "typing-extensions", marker = "python_full_version < '3.13'" }]
sdist = { url = "https://files.example.com/fastapi.tar.gz", hash = "sha256:aa", size = 1 }
wheels = [
    { url = "https://files.example.com/fastapi.whl", hash = "sha256:bb", size = 1 },
]

[[package]]
name = "anyio"
version = "4.4.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [
    { name = "idna" },
    { name = "typing-extensions", marker = "python_full_version < '3.11'" },
]
wheels = [{ url = "https://files.example.com/anyio.whl", hash = "sha256:cc" }]

[[package]]
name = "idna"
version = "3.7"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example.com/idna.whl", hash = "sha256:dd" }]

[[package]]
name = "typing-extensions"
version = "4.12.0"
source = { registry = "https://index.example.com/simple" }
wheels = [{ url = "https://files.example.com/te.whl", hash = "sha256:ee" }]

[[package]]
name = "uvicorn"
version = "0.30.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example.com/uvicorn.whl", hash = "sha256:ff" }]

[package.optional-dependencies]
standard = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "httptools" },
]

[[package]]
name = "colorama"
version = "0.4.6"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "httptools"
version = "0.6.1"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "redis"
version = "5.0.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "pytest"
version = "8.0.0"
source = { registry = "https://pypi.org/simple" }
`;

function lines(files: Record<string, string>, given = "uv.lock"): string[] {
  return (readDependencies(projectOf(files), given)?.requirements ?? []).map(requirementLine).toSorted();
}

describe("uv.lock", () => {
  it("becomes the exact requirements that uv export --no-dev writes", () => {
    expect(lines({ "pyproject.toml": pyproject, "uv.lock": lock() })).toEqual([
      "./libs/common",
      "anyio==4.4.0 \\\n    --hash=sha256:cc",
      "colorama==0.4.6 ; sys_platform == 'win32'",
      "fastapi==0.115.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb",
      "httptools==0.6.1",
      "idna==3.7 \\\n    --hash=sha256:dd",
      "lib @ git+https://git.example.com/lib@0123456789abcdef0123456789abcdef01234567#subdirectory=python",
      "typing-extensions==4.12.0 ; python_full_version < '3.13' or python_full_version < '3.11' \\\n    --hash=sha256:ee",
      "uvicorn==0.30.0 \\\n    --hash=sha256:ff",
    ]);
  });

  it("names the indexes that are not PyPI", () => {
    const found = readDependencies(projectOf({ "pyproject.toml": pyproject, "uv.lock": lock() }), "uv.lock");
    expect(found).toMatchObject({
      locked: true,
      indexes: ["https://pypi.org/simple", "https://index.example.com/simple"],
      warnings: [],
    });
  });

  it("gives extras and groups that are asked for, and refuses others", () => {
    const files = { "pyproject.toml": pyproject, "uv.lock": lock() };
    expect(lines(files, "uv.lock[redis]:dev")).toEqual(expect.arrayContaining(["redis==5.0.0", "pytest==8.0.0"]));
    expect(() => lines(files, "uv.lock[s3]")).toThrow("uv.lock has no extra and no group s3");
  });

  it("at the top of a workspace gives what one member needs, by paths from there", () => {
    const member = lock('editable = "apps/shop"');
    const files = { "pyproject.toml": pyproject, "../../uv.lock": member, "../../.git/HEAD": "" };
    const found = lines(files, "../../uv.lock");
    expect(found).toContain("../../libs/common");
    expect(found).toContain("httptools==0.6.1");
    expect(found.join()).not.toContain("shop");
  });

  it("that is older than pyproject.toml gives way to it, with a word", () => {
    const found = readDependencies(projectOf({ "pyproject.toml": pyproject, "uv.lock": "version = 1\n" }), "uv.lock");
    expect(found?.locked).toBe(false);
    expect(found?.requirements.map(({ line }) => line)).toEqual([
      "fastapi",
      "uvicorn[standard]>=0.30",
      "common",
      "lib",
    ]);
    expect(found?.warnings).toEqual([
      "uv.lock is older than pyproject.toml: it lacks common, fastapi, lib, uvicorn; lock again",
    ]);
  });

  it("is followed by the project itself when its modules lie in src", () => {
    const built = `${pyproject}\n[build-system]\nrequires = ["hatchling"]\n`;
    const files = { "pyproject.toml": built, "uv.lock": lock('editable = "."'), "src/shop/__init__.py": "" };
    expect(lines(files)).toContain(".");
    expect(lines({ ...files, "pyproject.toml": pyproject })).not.toContain(".");
  });

  it("that is no TOML is refused with its line", () => {
    expect(() => lines({ "uv.lock": "version = \n" })).toThrow(/uv\.lock cannot be read: Invalid TOML/);
  });
});
