import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { Scratch } from "../harness/scratch.ts";
import { changeOneFile, versionOf, writeProject } from "./project.ts";
import { fullProject } from "./sizes.ts";

function digestOf(directory: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).toSorted()) {
    hash.update(path.slice(directory.length)).update(readFileSync(path));
  }
  return hash.digest("hex");
}

it("writes the same project of about 3,000 files and 40 MB each time, and Django loads it", async () => {
  await using scratch = new Scratch("bench");
  const [first, second] = [join(scratch.path, "first"), join(scratch.path, "second")];
  const size = writeProject(first, fullProject);
  expect(size.files).toBeGreaterThan(2800);
  expect(size.files).toBeLessThan(3200);
  expect(size.bytes).toBeGreaterThan(38e6);
  expect(size.bytes).toBeLessThan(44e6);
  expect(writeProject(second, fullProject)).toEqual(size);
  expect(digestOf(second)).toBe(digestOf(first));

  changeOneFile(second, 2);
  expect(versionOf(first)).toBe("v1");
  expect(versionOf(second)).toBe("v2");
  expect(digestOf(second)).not.toBe(digestOf(first));

  const code =
    "import market.wsgi, sys; print(sum(name.rpartition('.')[2].startswith('part_') for name in sys.modules))";
  const { stdout } = await promisify(execFile)("/usr/bin/python3", ["-c", code], { cwd: second });
  expect(Number(stdout)).toBe(460);
});
