import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { parse } from "yaml";
import { lintGithubFile } from "./github-linter.ts";
import { brokenRules, parseWorkflow, usesOf } from "./workflow-rules.ts";

const folder = ".github/workflows";
const workflows = readdirSync(folder).map((name) => join(folder, name));
const read = (path: string) => readFileSync(path, "utf8");

const good = `on: { push: { branches: [main] } }
permissions: {}
defaults: { run: { shell: bash } }
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: { contents: read }
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: { persist-credentials: false }
      - run: echo "$TITLE"
        env: { TITLE: "\${{ github.event.head_commit.message }}" }
`;

function changed(from: string, to: string): string {
  if (!good.includes(from)) throw new Error(`the good workflow has no ${from}`);
  return good.replace(from, to);
}

describe("the linter", () => {
  it.each(["action.yml", ...workflows])("has nothing to say about %s", async (path) => {
    expect(await lintGithubFile(path, read(path))).toEqual([]);
  });

  it("has nothing to say about the workflow that the tests below break", async () => {
    expect(await lintGithubFile(`${folder}/x.yml`, good)).toEqual([]);
  });

  it.each([
    ["an unknown key", "timeout-minutes", "timeout-minute", "7: Unexpected value 'timeout-minute'"],
    ["an unknown permission", "contents: read", "content: read", "8: Unexpected value 'content'"],
    ["a job that is not there", "    runs-on", "    needs: [build]\n    runs-on", "6: Value 'build' is not valid"],
    ["a step that is not there", "github.event.head_commit.message", "steps.no.outputs.x", "13: Context access might"],
    ["an unknown function", "github.event.head_commit.message", "nope()", "13: Unrecognized function: 'nope'"],
    ["a broken expression", "message }}", "message }", "13: The expression is not closed"],
    ["an action without a version", "@3d3c42e5aac5ba805825da76410c181273ba90b1", "", "10: Expected format"],
    [
      "a workflow that is not there",
      good.slice(good.indexOf("    runs-on")),
      "    uses: ./x.yml\n",
      "6: Unable to find",
    ],
  ])("finds %s", async (_, from, to, finding) => {
    const findings = await lintGithubFile(`${folder}/x.yml`, changed(from, to));
    expect(findings.join("\n")).toContain(`${folder}/x.yml:${finding}`);
  });

  it("finds an unknown key, an unknown runtime and a missing description in action.yml", async () => {
    const text = read("action.yml").replace("description:", "descrption:").replace("using: node24", "using: node23");
    const findings = await lintGithubFile("action.yml", text);
    expect(findings.join("\n")).toContain("Unexpected value 'descrption'");
    expect(findings.join("\n")).toContain("Unexpected value 'node23'");
    expect(findings.join("\n")).toContain("Required property is missing: description");
  });
});

describe("our rules", () => {
  it.each(workflows)("hold in %s", (path) => {
    expect(brokenRules(read(path))).toEqual([]);
  });

  it("hold in the workflow that the tests below break", () => {
    expect(brokenRules(good)).toEqual([]);
  });

  it.each([
    ["a tag instead of a hash", "3d3c42e5aac5ba805825da76410c181273ba90b1", "v7", "a commit's whole hash"],
    ["a hash without its version", " # v7.0.1", "", "its version as a comment"],
    ["permissions of the whole workflow", "permissions: {}", "permissions: { contents: read }", "must be {}"],
    ["a job without permissions", "    permissions: { contents: read }\n", "", "test: permissions must be listed"],
    ["a job with all of them", "{ contents: read }", "write-all", "test: permissions must be listed"],
    ["a job without a limit", "    timeout-minutes: 5\n", "", "test: timeout-minutes must be set"],
    ["a runner that changes", "ubuntu-24.04", "ubuntu-latest", "test: runs-on must name a version"],
    ["kept credentials", "persist-credentials: false", "fetch-depth: 0", "persist-credentials: false"],
    ["an expression in a script", '"$TITLE"', '"$' + '{{ github.ref }}"', "test: run must have no expression"],
    ["a script that bash cannot read", '"$TITLE"', '"$TITLE', "test: run is no valid script"],
    ["a shell that hides failures", "shell: bash", "shell: sh", "defaults.run.shell must be bash"],
    ["an event with rights for strangers", "push: { branches: [main] }", "pull_request_target: {}", "is not allowed"],
  ])("forbid %s", (_, from, to, rule) => {
    const broken = brokenRules(changed(from, to));
    expect(broken).toHaveLength(1);
    expect(broken[0]).toContain(rule);
  });
});

describe("what the workflows use", () => {
  it("is one version of each action", () => {
    const used = workflows.flatMap((path) => usesOf(read(path))).filter(({ action }) => !action.startsWith("./"));
    const names = new Set(used.map(({ action }) => action.split("@")[0]));
    const versions = new Set(used.map(({ action, comment }) => `${action} ${comment}`));
    expect(versions.size).toBe(names.size);
  });

  it("is our Action with inputs and outputs that action.yml has", () => {
    const { inputs, outputs } = parse(read("action.yml"));
    const text = read(`${folder}/ci.yml`);
    const steps = Object.values(parseWorkflow(text).jobs).flatMap((job) => job.steps);
    const own = steps.filter(({ uses }) => uses === "./");
    expect(own).toHaveLength(1);
    expect(Object.keys(inputs)).toEqual(expect.arrayContaining(Object.keys(own[0]?.with ?? {})));
    const asked = [...text.matchAll(/steps\.cutover\.outputs\.([a-z]+)/g)].map(([, name]) => name);
    expect(asked.toSorted()).toEqual(Object.keys(outputs).toSorted());
  });
});

describe("ci.yml", () => {
  const text = read(`${folder}/ci.yml`);
  const { jobs } = parseWorkflow(text);

  it("has one job that needs all others, for the branch rule", () => {
    const others = Object.keys(jobs).filter((name) => name !== "all");
    expect(jobs.all?.needs).toEqual(others);
  });

  it("runs every shard of the tests", () => {
    const { shard } = parse(text).jobs.test.strategy.matrix;
    expect(shard).toEqual(shard.map((_: string, index: number) => `${index + 1}/${shard.length}`));
  });
});

describe("release.yml", () => {
  const { on, jobs } = parseWorkflow(read(`${folder}/release.yml`));

  /** All jobs that have succeeded before one starts. */
  function before(name: string): string[] {
    const needs = [jobs[name]?.needs ?? []].flat();
    return [...needs.flatMap(before), ...needs];
  }

  it("publishes last, after the tag was checked and all tests have passed", () => {
    expect(before("publish")).toEqual(Object.keys(jobs).filter((name) => name !== "publish"));
    expect(jobs.test?.uses).toBe("./.github/workflows/ci.yml");
    expect(jobs.check?.steps.at(-1)?.run).toContain('npm run --silent release -- "$GITHUB_REF_NAME"');
  });

  it("starts for versions, and not for the major tag that it moves", () => {
    expect(on).toEqual({ push: { tags: ["v*.*"] } });
  });

  it("gives a right to write to one job each, which runs no code of a package", () => {
    const written = Object.entries(jobs).map(([name, { permissions }]) => [
      name,
      Object.entries(permissions ?? {}).flatMap(([right, access]) => (access === "write" ? [right] : [])),
    ]);
    const writers = written.filter(([, rights]) => rights?.length !== 0);
    expect(writers).toEqual([
      ["attest", ["attestations", "id-token"]],
      ["publish", ["contents"]],
    ]);
    for (const job of [jobs.attest, jobs.publish]) {
      for (const { run = "" } of job?.steps ?? []) expect(run).not.toMatch(/\b(npm|npx|node|pip)\b/);
    }
  });
});

test("Dependabot updates the npm packages and the actions, each in one pull request a week", () => {
  const { updates } = parse(read(".github/dependabot.yml"));
  expect(updates.map((one: { "package-ecosystem": string }) => one["package-ecosystem"])).toEqual([
    "npm",
    "github-actions",
  ]);
  for (const { schedule, groups } of updates) {
    expect(schedule.interval).toBe("weekly");
    expect(Object.values(groups)).toEqual([{ patterns: ["*"] }]);
  }
});
