import { describe, expect, it } from "vitest";
import { completePython } from "../../shared/complete-python.ts";
import { configSchema } from "../../shared/config.ts";
import { projectFaults } from "../../shared/project.ts";
import { projectOf } from "./dependencies/files.ts";

const pyproject = '[project]\nname = "shop"\nrequires-python = ">=3.12"\ndependencies = ["flask", "gunicorn"]\n';

describe("python in cutover.yml", () => {
  const files = projectOf({ "uv.lock": "", ".python-version": "3.12\n" });

  it("is completed with the file of the requirements and the version that the project names", () => {
    expect(completePython({ app: "shop" }, files)).toEqual({
      value: { app: "shop", python: { requirements: "uv.lock", version: "3.12" } },
      found: ["python.requirements: uv.lock", 'python.version: "3.12" (.python-version)'],
    });
  });

  it("keeps what it says itself", () => {
    const given = { app: "shop", python: { requirements: "r.txt", version: "3.11" } };
    expect(completePython(given, files)).toEqual({ value: given, found: [] });
    expect(completePython({ python: { wheels: "none", version: "3.11" } }, files).found).toEqual([]);
    expect(completePython({ python: 3 }, files).found).toEqual([]);
  });

  it("is not completed with a whole project or an environment of conda where the distribution's packages count", () => {
    const conda = projectOf({ "environment.yml": "" });
    expect(completePython({}, conda).found).toEqual(["python.requirements: environment.yml"]);
    expect(completePython({ python: { system_site_packages: true } }, conda).found).toEqual([]);
  });

  it.each(["../requirements.txt", "../../../uv.lock", "uv.lock[a,b]:c", "requirements/x.txt"])(
    "takes %s",
    (requirements) => {
      expect(configSchema.safeParse({ app: "a", server: server, python: { requirements } }).success).toBe(true);
    },
  );

  it.each(["../../../../uv.lock", "a/../../x", "/etc/x", "..", "../..", "a\\b", "../x/.."])(
    "refuses %s",
    (requirements) => {
      expect(configSchema.safeParse({ app: "a", server: server, python: { requirements } }).success).toBe(false);
    },
  );
});

const server = { kind: "gunicorn", app: "app:app" };

/** What check says about a project's requirements and Python. */
function faults(files: Record<string, string>, python: object = {}): string[] {
  const project = projectOf({ "app.py": "app = 1\n", ...files });
  const { value } = completePython({ app: "shop", server, python }, project);
  return projectFaults(configSchema.parse(value), project).map(
    ({ severity, path, message }) => `${severity} ${path.join(".")}: ${message}`,
  );
}

describe("check", () => {
  it("finds the server in every form of dependencies", () => {
    expect(faults({ "pyproject.toml": pyproject })).toEqual([]);
    expect(faults({ "Pipfile.lock": '{"default": {"Gunicorn": {"version": "==22"}}}' })).toEqual([]);
    expect(faults({ "Pipfile.lock": '{"default": {"flask": {"version": "==3"}}}' })).toEqual([
      "error server.kind: Pipfile.lock does not name gunicorn, which the instances run on; add it there, or write `python: { extra: [gunicorn] }`",
    ]);
  });

  it("finds the server among python.extra, with requirements and without", () => {
    const extra = { extra: ["Gunicorn[gevent]>=22"] };
    expect(faults({ "Pipfile.lock": '{"default": {"flask": {"version": "==3"}}}' }, extra)).toEqual([]);
    expect(faults({}, extra)).toEqual([]);
  });

  it("says that a lock is old, and that another version of Python is required", () => {
    expect(faults({ "pyproject.toml": pyproject, "uv.lock": "version = 1\n" }, { version: "3.11" })).toEqual([
      "warning python.requirements: uv.lock is older than pyproject.toml: it lacks flask, gunicorn; lock again",
      "warning python.version: is 3.11, but pyproject.toml requires >=3.12",
    ]);
  });

  it("refuses what cannot be read, and what pip cannot install", () => {
    expect(faults({ "uv.lock": "version = \n" })[0]).toMatch(/^error python\.requirements: uv\.lock cannot be read/);
    expect(faults({ "environment.yml": "" })[0]).toMatch(/^error python\.requirements: environment\.yml is for conda/);
    expect(faults({ "pyproject.toml": pyproject }, { requirements: "pyproject.toml[s3]" })[0]).toMatch(
      /^error python\.requirements: pyproject\.toml has no extra and no group s3/,
    );
  });
});
