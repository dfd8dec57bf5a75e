import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { renderChangelog, renderControl } from "../../../agent/packaging/control.ts";
import { architectures } from "../../../agent/packaging/node.ts";
import { writeReleaseFiles } from "../../../agent/packaging/release-files.ts";
import { releaseNotes } from "../../../agent/packaging/release-notes.ts";
import { makeSbom } from "../../../agent/packaging/sbom.ts";
import packageJson from "../../../package.json" with { type: "json" };
import packageLock from "../../../package-lock.json" with { type: "json" };
import { node } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";

const changelog = `# Changelog

## 1.3.0 - unreleased

- Not yet.

## 1.2.3 - 2027-01-31

- One.
- Two,
  on two lines.

## 1.2.2 - 2027-01-01

- Older.
`;

const { version } = packageJson;

test("the notes of a tag are its section of the changelog", () => {
  const notes = releaseNotes({ tag: "v1.2.3", version: "1.2.3", changelog });
  expect(notes).toBe("- One.\n- Two,\n  on two lines.\n");
});

test("a release candidate has the notes of its release, which has no date yet", () => {
  expect(releaseNotes({ tag: "v1.3.0-rc.1", version: "1.3.0-rc.1", changelog })).toBe("- Not yet.\n");
});

test.each([
  ["a tag of another version", "v1.2.2", "1.2.3", "the tag is v1.2.2, but package.json has version 1.2.3"],
  ["a tag of the release when package.json has the candidate", "v1.2.3", "1.2.3-rc.1", "package.json has version"],
  ["a version without its date", "v1.3.0", "1.3.0", 'CHANGELOG.md has "unreleased" for 1.3.0'],
  ["a version without a section", "v2.0.0", "2.0.0", "CHANGELOG.md has no section"],
  ["the start of another version", "v1.2.0", "1.2.0", "CHANGELOG.md has no section"],
  ["no version", "v1.2", "1.2", "v1.2 is not a release tag"],
  ["a tag that is not only a version", "v1.2.3;id", "1.2.3;id", "is not a release tag"],
])("refused is %s", (_, tag, given, message) => {
  expect(() => releaseNotes({ tag, version: given, changelog })).toThrow(message);
});

test("a version of which the changelog says nothing is refused", () => {
  const empty = "## 1.0.0 - 2027-01-31\n\n## 0.9.0 - 2027-01-01\n\n- One.\n";
  expect(() => releaseNotes({ tag: "v1.0.0", version: "1.0.0", changelog: empty })).toThrow(
    "has an empty section for 1.0.0",
  );
});

test("the command refuses a wrong tag in one line", async () => {
  const message = `release: the tag is v99.0.0, but package.json has version ${version}: release v${version}, or change package.json\n`;
  expect(await runProgram([node, "agent/packaging/release.ts", "v99.0.0"])).toEqual({
    code: 1,
    stdout: "",
    stderr: message,
  });
});

test("Debian takes the release for newer than its candidate", async () => {
  const control = renderControl({ version: "1.0.0-rc.1", architecture: "amd64", installedSize: 1 });
  const candidate = /^Version: (.*)$/m.exec(control)?.[1] ?? "";
  expect(renderChangelog("1.0.0-rc.1", 0)).toContain(`(${candidate}) stable`);
  expect((await runProgram(["dpkg", "--compare-versions", candidate, "lt", "1.0.0"])).code).toBe(0);
  expect((await runProgram(["dpkg", "--compare-versions", "0.9.9", "lt", candidate])).code).toBe(0);
});

test("the SBOM has what runs, with each architecture's Node, and nothing of the tests; twice the same bytes", async () => {
  const sbom = await makeSbom("cutover", 1_750_000_000);
  expect(await makeSbom("cutover", 1_750_000_000)).toBe(sbom);
  const { bomFormat, metadata, components, dependencies } = JSON.parse(sbom);
  expect(bomFormat).toBe("CycloneDX");
  expect(metadata.component).toMatchObject({ name: "cutover", version });
  expect(metadata.timestamp).toBe("2025-06-15T15:06:40.000Z");
  const found = components.map((one: { "bom-ref": string }) => one["bom-ref"]);
  const locked = Object.entries(packageLock.packages as Record<string, { version: string; dev?: boolean }>)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path, locked]) => `${path.replace(/^.*node_modules\//, "")}@${locked.version}`);
  expect(found.toSorted()).toEqual(locked.toSorted());
  const direct = { ...packageJson.dependencies, ...packageJson.optionalDependencies };
  expect(found).toEqual(expect.arrayContaining(Object.entries(direct).map(([name, of]) => `${name}@${of}`)));
  const used = dependencies.flatMap(({ ref, dependsOn }: { ref: string; dependsOn: string[] }) => [ref, ...dependsOn]);
  expect(new Set(used)).toEqual(new Set([...found, `cutover@${version}`]));
});

test("the files of a release: checksums of both packages and the SBOM, and the notes", async () => {
  await using scratch = new Scratch("release");
  const directory = scratch.path;
  const files = { directory, version: "1.2.3", notes: "- One.\n", date: 1_750_000_000 };
  const [first, second] = Object.keys(architectures).map((name) => `cutover-agent_1.2.3_${name}.deb`);
  writeFileSync(join(directory, first ?? ""), "one");
  await expect(writeReleaseFiles(files)).rejects.toThrow(`lacks ${second}: run \`npm run package\` first`);
  writeFileSync(join(directory, second ?? ""), "two");
  await writeReleaseFiles(files);
  const { code, stdout } = await runProgram(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: directory });
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${first}: OK\n${second}: OK\ncutover.cdx.json: OK\n` });
  expect(readFileSync(join(directory, "NOTES.md"), "utf8")).toBe("- One.\n");
});
