import { createHash } from "node:crypto";
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makePackage } from "../../../agent/packaging/package.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";

const architecture = process.arch === "arm64" ? "arm64" : "amd64";

async function make(into: string): Promise<string> {
  return makePackage({ version: "1.2.3", architecture, date: 1_750_000_000, into, compression: "none" });
}

async function digestOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

test("the same sources give the same package, whatever the umask and the directory", async () => {
  await using scratch = new Scratch("package");
  const one = await make(join(scratch.path, "one"));
  const umask = process.umask(0o077);
  const two = await make(join(scratch.path, "two")).finally(() => process.umask(umask));
  await chmod(two, 0o644);
  expect(await digestOf(one)).toBe(await digestOf(two));
});

test("the package belongs to root, has its own node, and no file that another user may write", async () => {
  await using scratch = new Scratch("package");
  const file = await make(scratch.path);
  const { stdout: listing } = await runProgram(["dpkg-deb", "--contents", file]);
  const lines = listing.trim().split("\n");
  for (const line of lines) expect(line).toMatch(/^[-d]rw[-x]r-[-x]r-[-x] root\/root /);
  expect(lines.some((line) => line.endsWith(" ./usr/lib/cutover/node"))).toBe(true);
  const { stdout: control } = await runProgram(["dpkg-deb", "--field", file]);
  expect(control).toMatch(/^Package: cutover-agent\nVersion: 1\.2\.3\n/);
  expect(control).toMatch(/^Depends: .*nginx \| openresty, supervisor, python3-venv, acl$/m);
  const { stdout: conffiles } = await runProgram(["dpkg-deb", "--info", file, "conffiles"]);
  expect(conffiles).toBe("/etc/cutover/agent.yml\n/etc/apt/apt.conf.d/50cutover-agent\n");
});
