import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { FakeGh } from "../../fakes/gh.ts";
import { systemPath } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";

const commit = "c".repeat(40);

/** A repository with tags on a fake GitHub, and a directory with the files of a release. */
async function repository(...tags: string[]) {
  const scratch = new Scratch("publish");
  const gh = await FakeGh.start(scratch.path, Object.fromEntries(tags.map((tag) => [tag, commit])));
  onTestFinished(async () => {
    await gh[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
  });
  const dist = join(scratch.path, "dist");
  mkdirSync(dist);
  writeFileSync(join(dist, "NOTES.md"), "- One.\n");
  build(dist, "one");
  const publish = (tag: string, sha = commit) =>
    runProgram([".ci/publish", tag, dist], {
      env: { PATH: `${gh.bin}:${systemPath}`, GH_TOKEN: "-", GH_REPO: "cutover/cutover", GITHUB_SHA: sha },
    });
  return { gh, dist, publish };
}

/** @returns the files by name, as they are to be published */
function build(dist: string, content: string): Record<string, string> {
  const digest = createHash("sha256").update(content).digest("hex");
  const files = { "agent.deb": content, SHA256SUMS: `${digest}  agent.deb\n` };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dist, name), text);
  return files;
}

it("uploads to a draft, publishes it complete, and makes the major tag", async () => {
  const { gh, dist, publish } = await repository("v0.1.0");
  const files = build(dist, "one");
  const stdout = "publish: v0.1.0 is published\npublish: v0 is at v0.1.0 now\n";
  expect(await publish("v0.1.0")).toEqual({ code: 0, stdout, stderr: "" });
  expect(gh.releases).toEqual({
    "v0.1.0": { draft: false, prerelease: false, latest: true, notes: "- One.\n", files },
  });
  const steps = ["create v0.1.0", "upload v0.1.0 agent.deb SHA256SUMS", "publish v0.1.0", `tag v0 ${commit}`];
  expect(gh.changes).toEqual(steps);
});

it("changes nothing when it runs again", async () => {
  const { gh, publish } = await repository("v0.1.0");
  await publish("v0.1.0");
  const before = [...gh.changes];
  const stdout = "publish: v0.1.0 is published with these files already\npublish: v0 is at v0.1.0 already\n";
  expect(await publish("v0.1.0")).toEqual({ code: 0, stdout, stderr: "" });
  expect(gh.changes).toEqual(before);
});

it.each(["release create", "release upload", "release edit", "api --silent repos/{owner}/{repo}/git/refs"])(
  "goes on after `gh %s` has failed, and leaves one release and one tag",
  async (failing) => {
    const { gh, dist, publish } = await repository("v0.1.0");
    gh.failing = failing;
    expect((await publish("v0.1.0")).code).not.toBe(0);
    expect(gh.failing).toBeUndefined();
    expect((await publish("v0.1.0")).code).toBe(0);
    expect(Object.keys(gh.releases)).toEqual(["v0.1.0"]);
    expect(gh.releases["v0.1.0"]).toMatchObject({ draft: false, latest: true, files: build(dist, "one") });
    expect(gh.tags.v0).toBe(commit);
  },
);

it.each(["api repos/{owner}/{repo}/releases", "api repos/{owner}/{repo}/git/matching-refs"])(
  "does nothing when `gh %s` fails, and does not take that for an empty answer",
  async (failing) => {
    const { gh, publish } = await repository("v0.1.0");
    gh.failing = failing;
    expect((await publish("v0.1.0")).code).not.toBe(0);
    expect(gh.changes).toEqual([]);
  },
);

it("never changes a published release", async () => {
  const { gh, dist, publish } = await repository("v0.1.0");
  const files = build(dist, "one");
  await publish("v0.1.0");
  const before = [...gh.changes];
  build(dist, "two");
  const { code, stderr } = await publish("v0.1.0");
  expect(code).toBe(1);
  expect(stderr).toContain("v0.1.0 is published with other files. It was not changed.");
  expect(gh.changes).toEqual(before);
  expect(gh.releases["v0.1.0"]?.files).toEqual(files);
});

it("publishes nothing that differs from its checksums", async () => {
  const { gh, dist, publish } = await repository("v0.1.0");
  writeFileSync(join(dist, "agent.deb"), "damaged");
  expect((await publish("v0.1.0")).stderr).toContain("Nothing was published.");
  expect(gh.changes).toEqual([]);
});

it("moves the major tag on to the next version, by number and not by letter", async () => {
  const { gh, publish } = await repository("v0.9.0", "v0.10.0");
  gh.tags.v0 = "b".repeat(40);
  expect((await publish("v0.10.0")).stdout).toContain("v0 is at v0.10.0 now");
  expect(gh.tags.v0).toBe(commit);
});

it("leaves the major tag and the latest release when an older version is released", async () => {
  const { gh, publish } = await repository("v0.9.1", "v0.10.0", "v0");
  const { stdout } = await publish("v0.9.1", "d".repeat(40));
  expect(stdout).toContain("v0 stays, because v0.10.0 is newer");
  expect(gh.tags.v0).toBe(commit);
  expect(gh.releases["v0.9.1"]).toMatchObject({ draft: false, latest: false });
});

it("moves the major tag of an older major version, but leaves the latest release", async () => {
  const { gh, publish } = await repository("v1.2.1", "v2.0.0", "v10.0.0", "v1.3.0-rc.1");
  expect((await publish("v1.2.1")).stdout).toContain("v1 is at v1.2.1 now");
  expect(gh.releases["v1.2.1"]).toMatchObject({ latest: false });
});

it("publishes a pre-release as one, and moves no tag", async () => {
  const { gh, publish } = await repository("v1.0.0-rc.1");
  const { code, stdout } = await publish("v1.0.0-rc.1");
  expect(code).toBe(0);
  expect(stdout).toContain("v1 stays, because v1.0.0-rc.1 is a pre-release");
  expect(gh.releases["v1.0.0-rc.1"]).toMatchObject({ draft: false, prerelease: true, latest: false });
  expect(gh.tags).toEqual({ "v1.0.0-rc.1": commit });
});
