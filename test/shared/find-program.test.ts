import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findProgram } from "../../shared/find-program.ts";

let at: string;

beforeAll(() => {
  at = mkdtempSync(join(tmpdir(), "cutover-programs-"));
  for (const folder of ["one", "two", "one/directory"]) mkdirSync(join(at, folder));
  for (const file of ["one/plain", "two/plain", "two/both", "one/both", "two/directory"]) {
    writeFileSync(join(at, file), "#!/bin/sh\n");
    chmodSync(join(at, file), file === "one/plain" ? 0o644 : 0o755);
  }
});
afterAll(() => rmSync(at, { recursive: true }));

test.each([
  ["the first place of PATH counts", "both", "one/both"],
  ["a file that may not be executed does not count", "plain", "two/plain"],
  ["a directory does not count", "directory", "two/directory"],
  ["what is nowhere is not found", "absent", undefined],
])("%s", (_name, program, found) => {
  const path = ["one", "two"].map((folder) => join(at, folder)).join(":");
  expect(findProgram(program, path)).toBe(found && join(at, found));
});

test("relative places count only from a directory that the caller names", () => {
  expect(findProgram("both", "one")).toBeUndefined();
  expect(findProgram("one/both", "")).toBeUndefined();
  expect(findProgram("both", "one", at)).toBe(join(at, "one/both"));
  expect(findProgram("both", "", join(at, "two"))).toBe(join(at, "two/both"));
  expect(findProgram("one/both", "/bin", at)).toBe(join(at, "one/both"));
});
