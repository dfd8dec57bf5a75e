import { describe, expect, it } from "vitest";
import { dependencyNames, readDependencies } from "../../../shared/dependencies/read-dependencies.ts";
import { requirementLine } from "../../../shared/dependencies/requirement.ts";
import { projectOf } from "./files.ts";

function read(files: Record<string, string>, given: string) {
  const found = readDependencies(projectOf(files), given);
  return { ...found, lines: (found?.requirements ?? []).map(requirementLine) };
}

describe("pyproject.toml", () => {
  const pyproject = `
[project]
name = "shop"
dependencies = [
  "Django>=4.2 ; python_version >= '3.8'",
  "lib @ https://example.com/lib.zip;x",
]
[project.optional-dependencies]
redis = ["redis>=5"]
all = ["shop[redis]", "gunicorn"]
[dependency-groups]
Web_Server = ["gunicorn", {include-group = "base"}]
base = ["whitenoise", {include-group = "web-server"}]
`;

  it("gives the dependencies of the project", () => {
    expect(read({ "pyproject.toml": pyproject }, "pyproject.toml")).toMatchObject({
      locked: false,
      lines: ["Django>=4.2 ; python_version >= '3.8'", "lib @ https://example.com/lib.zip;x"],
    });
  });

  it("gives extras, also those that name others, and dependency groups with what they include", () => {
    const of = (given: string) => dependencyNames(projectOf({ "pyproject.toml": pyproject }), given);
    expect(of("pyproject.toml[all]")).toEqual(new Set(["django", "lib", "redis", "gunicorn"]));
    expect(of("pyproject.toml:web-server")).toEqual(new Set(["django", "lib", "gunicorn", "whitenoise"]));
    expect(() => of("pyproject.toml[s3]:x")).toThrow("pyproject.toml has no extra and no group s3, x");
  });

  it("that leaves its dependencies to setuptools names their files, or is built", () => {
    const dynamic = '[project]\nname = "shop"\ndynamic = ["dependencies"]\n';
    const filed = `${dynamic}[tool.setuptools.dynamic]\ndependencies = {file = ["requirements.in"]}\n`;
    expect(read({ "pyproject.toml": filed }, "pyproject.toml").lines).toEqual(["-r requirements.in"]);
    expect(read({ "pyproject.toml": dynamic }, "pyproject.toml").lines).toEqual(["."]);
  });

  it("of Poetry without a lock is said in pip's words", () => {
    const poetry = `
[tool.poetry.dependencies]
python = "^3.10"
django = "^4.2"
uvicorn = {version = "~0.30", extras = ["standard"]}
common = {path = "libs/common"}
lib = {git = "https://git.example.com/lib.git", tag = "v1"}
`;
    expect(read({ "pyproject.toml": poetry }, "pyproject.toml").lines).toEqual([
      "django>=4.2,<5",
      "uvicorn[standard]>=0.30,<0.31",
      "./libs/common",
      "lib @ git+https://git.example.com/lib.git@v1",
    ]);
  });
});

describe("pdm.lock", () => {
  const lock = `
[metadata]
groups = ["default", "dev", "redis"]
lock_version = "4.5.0"

[[package]]
name = "flask"
version = "3.0.0"
groups = ["default"]
files = [{file = "flask.whl", hash = "sha256:aa"}]

[[package]]
name = "colorama"
version = "0.4.6"
groups = ["default", "dev"]
marker = "platform_system == \\"Windows\\""
files = []

[[package]]
name = "uvicorn"
version = "0.30.0"
extras = ["standard"]
groups = ["default"]
files = [{file = "uvicorn.whl", hash = "sha256:bb"}]

[[package]]
name = "uvicorn"
version = "0.30.0"
groups = ["default"]
files = [{file = "uvicorn.whl", hash = "sha256:bb"}]

[[package]]
name = "lib"
version = "1.0"
groups = ["default"]
git = "https://git.example.com/lib.git"
ref = "main"
revision = "0123456789abcdef0123456789abcdef01234567"

[[package]]
name = "common"
version = "1.0"
path = "./libs/common"
editable = true
groups = ["default"]

[[package]]
name = "redis"
version = "5.0.0"
groups = ["redis"]
files = []
`;

  it("gives the default group, and others that are asked for", () => {
    expect(read({ "pdm.lock": lock }, "pdm.lock").lines).toEqual([
      "flask==3.0.0 \\\n    --hash=sha256:aa",
      'colorama==0.4.6 ; platform_system == "Windows"',
      "uvicorn==0.30.0 \\\n    --hash=sha256:bb",
      "lib @ git+https://git.example.com/lib.git@0123456789abcdef0123456789abcdef01234567",
      "./libs/common",
    ]);
    expect(read({ "pdm.lock": lock }, "pdm.lock[redis]").lines).toContain("redis==5.0.0");
    expect(() => read({ "pdm.lock": lock }, "pdm.lock[s3]")).toThrow("s3");
  });

  it("of an older version, which names no groups, is walked from what the project needs", () => {
    const old = `
[[package]]
name = "uvicorn"
version = "0.20.0"
dependencies = ["click>=7.0"]
[[package]]
name = "uvicorn"
version = "0.20.0"
extras = ["standard"]
dependencies = ["uvicorn==0.20.0", "httptools; sys_platform != 'win32'"]
[[package]]
name = "click"
version = "8.0"
[[package]]
name = "httptools"
version = "0.6"
[[package]]
name = "pytest"
version = "8.0"
[metadata.files]
"click 8.0" = [{file = "click.whl", hash = "sha256:cc"}]
`;
    const pyproject = '[project]\nname = "shop"\ndependencies = ["uvicorn[standard]"]\n';
    expect(read({ "pdm.lock": old, "pyproject.toml": pyproject }, "pdm.lock").lines).toEqual([
      "uvicorn==0.20.0",
      "click==8.0 \\\n    --hash=sha256:cc",
      "httptools==0.6 ; sys_platform != 'win32'",
    ]);
  });
});

describe("pylock.toml", () => {
  const lock = `
lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
extras = ["redis"]
dependency-groups = ["dev", "web"]
default-groups = ["web"]
created-by = "test"

[[packages]]
name = "attrs"
version = "25.1.0"
index = "https://index.example.com/simple"
sdist = {name = "attrs.tar.gz", hashes = {sha256 = "aa"}}
[[packages.wheels]]
name = "attrs.whl"
hashes = {sha256 = "bb"}

[[packages]]
name = "gunicorn"
version = "22.0.0"
marker = "'web' in dependency_groups and sys_platform != 'win32'"

[[packages]]
name = "pytest"
version = "8.0"
marker = "'dev' in dependency_groups or 'test' in extras"

[[packages]]
name = "redis"
version = "5.0"
marker = "('redis' in extras and python_version < '3.12') or 'dev' in dependency_groups"

[[packages]]
name = "lib"
[packages.vcs]
type = "git"
url = "https://git.example.com/lib.git"
requested-revision = "main"
commit-id = "0123456789abcdef0123456789abcdef01234567"

[[packages]]
name = "common"
[packages.directory]
path = "libs/common"
editable = true

[[packages]]
name = "zipped"
[packages.archive]
url = "https://example.com/zipped.zip"
hashes = {sha256 = "cc"}
`;

  it("gives what is installed by default", () => {
    expect(read({ "pylock.toml": lock }, "pylock.toml")).toMatchObject({
      locked: true,
      indexes: ["https://index.example.com/simple", "https://pypi.org/simple"],
      lines: [
        "attrs==25.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb",
        "gunicorn==22.0.0 ; sys_platform != 'win32'",
        "lib @ git+https://git.example.com/lib.git@0123456789abcdef0123456789abcdef01234567",
        "./libs/common",
        "zipped @ https://example.com/zipped.zip \\\n    --hash=sha256:cc",
      ],
    });
  });

  it("gives extras and groups that are asked for, in markers that pip reads", () => {
    expect(read({ "pylock.toml": lock }, "pylock.toml[redis]").lines).toContain("redis==5.0 ; python_version < '3.12'");
    expect(read({ "pylock.web.toml": lock }, "pylock.web.toml:dev").lines).toEqual(
      expect.arrayContaining(["pytest==8.0", "redis==5.0"]),
    );
  });
});

describe("Pipfile", () => {
  it("without a lock is said in pip's words", () => {
    const pipfile = `
[[source]]
url = "https://index.example.com/simple"
name = "own"
[packages]
django = "*"
uvicorn = {extras = ["standard"], version = ">=0.20"}
common = {path = "libs/common", editable = true}
lib = {git = "https://git.example.com/lib.git", ref = "v1"}
[dev-packages]
pytest = "*"
`;
    expect(read({ Pipfile: pipfile }, "Pipfile")).toMatchObject({
      indexes: ["https://index.example.com/simple"],
      lines: ["django", "uvicorn[standard]>=0.20", "./libs/common", "lib @ git+https://git.example.com/lib.git@v1"],
    });
  });
});

describe("what pip cannot install", () => {
  it.each(["environment.yml", "conda-linux-64.yml"])("%s is refused with words", (file) => {
    expect(() => read({ [file]: "" }, file)).toThrow(`${file} is for conda, whose packages pip cannot install.`);
  });

  it("a file that is not there is refused", () => {
    expect(() => read({}, "uv.lock")).toThrow("The project has no uv.lock.");
  });
});
