import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type TakeRequest, takeTree } from "../../../../agent/host/ownership/take-tree.ts";
import { scratch } from "../scratch.ts";

const at = "/var/lib/cutover/apps/shop/venvs/0123456789abcdef";
const own = "/usr/bin/python3";
const root = process.geteuid?.() === 0;

/** A tree as a build leaves it, and what is taken of it. */
function tree(limits: TakeRequest["limits"] = { bytes: 1000, files: 100 }) {
  const [from, to] = [scratch(), join(scratch(), "taken")];
  const file = (path: string, text = "text") => {
    mkdirSync(dirname(join(from, path)), { recursive: true });
    writeFileSync(join(from, path), text);
    return join(from, path);
  };
  const link = (path: string, target: string) => {
    mkdirSync(dirname(join(from, path)), { recursive: true });
    symlinkSync(target, join(from, path));
  };
  const outside = (path: string) => (path === "bin/python" ? [own] : []);
  const { signal } = new AbortController();
  return {
    from,
    to,
    file,
    link,
    take: (aborted = signal) => takeTree({ from, to, at, without: [".complete"], outside, limits, signal: aborted }),
  };
}

describe("a tree that somebody else wrote is taken over", () => {
  test("as new files, which whoever has the old ones open cannot reach", async () => {
    const { file, take, to } = tree();
    const path = file("lib/site.py", "good\n");
    const open = openSync(path, "r+");
    await take();
    writeSync(open, "evil\n", 0);
    closeSync(open);
    expect(readFileSync(join(to, "lib/site.py"), "utf8")).toBe("good\n");
    expect(statSync(join(to, "lib/site.py")).ino).not.toBe(statSync(path).ino);
  });

  test("with modes 0644 and 0755, its own owner, and the times that bytecode names", async () => {
    const { from, file, take, to } = tree();
    chmodSync(file("bin/tool"), 0o700);
    chmodSync(file("lib/site.py"), 0o666);
    chmodSync(join(from, "lib"), 0o1777);
    utimesSync(join(from, "lib/site.py"), 1_700_000_000.9, 1_700_000_000.9);
    if (root) execFileSync("chown", ["-R", "nobody", from]);
    await take();
    const mode = (path: string) => (statSync(join(to, path)).mode & 0o7777).toString(8);
    expect(["bin", "lib", "bin/tool", "lib/site.py"].map(mode)).toEqual(["755", "755", "755", "644"]);
    expect(statSync(join(to, "lib/site.py"))).toMatchObject({ uid: process.geteuid?.(), mtimeMs: 1_700_000_000_000 });
  });

  test("without what says that it is whole, whatever that is", async () => {
    const { file, take, to, from } = tree();
    file("lib/.complete");
    execFileSync("mkfifo", [join(from, ".complete")]);
    await take();
    expect([existsSync(join(to, ".complete")), existsSync(join(to, "lib/.complete"))]).toEqual([false, true]);
  });

  test("until it is aborted", async () => {
    const { file, take } = tree();
    file("lib/site.py");
    await expect(take(AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
  });

  test("with the links that stay within it, and those of the interpreter", async () => {
    const { file, link, take, to } = tree();
    file("lib/python3.11/site.py");
    const good = {
      lib64: "lib",
      "bin/python": own,
      "bin/python3": "python",
      "lib/python3.11/up": "../../lib",
      "lib/absolute": `${at}/bin/python`,
      "lib/dangling": "nothing/here",
      top: ".",
    };
    for (const [path, target] of Object.entries(good)) link(path, target);
    await take();
    for (const [path, target] of Object.entries(good)) expect(readlinkSync(join(to, path))).toBe(target);
  });
});

describe("a tree is refused, by the name of what is in it:", () => {
  const pipe = (path: string) => execFileSync("mkfifo", [path]);
  const socket = (path: string) => {
    execFileSync("/usr/bin/python3", [
      "-c",
      `import socket; socket.socket(socket.AF_UNIX).bind(${JSON.stringify(path)})`,
    ]);
  };
  const linkTo = (target: string) => (path: string) => symlinkSync(target, path);
  const withMode = (mode: number) => (path: string) => {
    writeFileSync(path, "");
    chmodSync(path, mode);
  };
  const kinds: [string, (path: string) => void, string][] = [
    ["a pipe", pipe, "is a pipe"],
    ["a socket", socket, "is a socket"],
    ["a link to a file of the host", linkTo("/etc/shadow"), 'is a link to "/etc/shadow"'],
    ["a link to the interpreter that is not the interpreter's own", linkTo(own), "is a link to"],
    ["a link that leads up and out", linkTo("../../../secret"), "is a link to"],
    ["a link that leads out by a way that is within", linkTo("a/../../../x"), "is a link to"],
    ["an absolute link with the same beginning", linkTo(`${at}-other/file`), "is a link to"],
    ["an absolute link that leads up", linkTo(`${at}/../other`), "is a link to"],
    ["a second name of a file", (path) => linkSync(join(dirname(path), "first"), path), "hard link"],
    ["a set-user-id file", withMode(0o4755), "set-user-id"],
    ["a set-group-id file", withMode(0o2755), "set-group-id"],
    ["a line break in a name", (path) => writeFileSync(`${path}\nname`, ""), "line break"],
  ];
  test.each(kinds)("%s", async (_kind, make, why) => {
    const { from, file, take } = tree();
    file("lib/first");
    make(join(from, "lib/bad"));
    await expect(take()).rejects.toMatchObject({
      code: "environment_failed",
      message: expect.stringContaining(why),
    });
    await expect(take()).rejects.toThrow();
  });

  test.runIf(root)("a device, and what belongs to somebody else than the rest", async () => {
    const device = tree();
    execFileSync("mknod", [join(device.from, "null"), "c", "1", "3"]);
    await expect(device.take()).rejects.toMatchObject({ message: expect.stringContaining('"null" is a device') });
    const foreign = tree();
    for (const [name, uid] of [
      ["a", 65534],
      ["b", 5],
    ] as const)
      chownSync(foreign.file(name), uid, uid);
    await expect(foreign.take()).rejects.toMatchObject({ message: expect.stringContaining("belongs to another user") });
  });

  test("more bytes, files or depth than an environment may have, with the key that allows more", async () => {
    const large = tree({ bytes: 5, files: 10 });
    large.file("a", "123");
    large.file("b", "456");
    await expect(large.take()).rejects.toMatchObject({ fix: expect.stringContaining("`limits.environment`") });
    const many = tree({ bytes: 100, files: 3 });
    for (const name of ["a", "b", "c", "d"]) many.file(name);
    await expect(many.take()).rejects.toMatchObject({ fix: expect.stringContaining("`limits.environment_files`") });
    const deep = tree({ bytes: 100, files: 1000 });
    deep.file(`${"d/".repeat(101)}file`);
    await expect(deep.take()).rejects.toMatchObject({ message: expect.stringContaining("100 directories deep") });
    // A file of holes is as large as it says.
    const sparse = tree();
    execFileSync("truncate", ["-s", "1T", sparse.file("holes")]);
    await expect(sparse.take()).rejects.toMatchObject({ code: "environment_failed" });
    expect(existsSync(join(sparse.to, "holes"))).toBe(false);
  });
});
