import { expect, test } from "vitest";
import { asCutoverError } from "../../shared/errors.ts";

function refusal(code: string, message: string): Error {
  return Object.assign(new Error(message), { code, syscall: "open", path: "/var/lib/cutover/state.json" });
}

test.each([
  ["EROFS", /^\/var\/lib\/cutover\/state\.json cannot be used \(open\): its file system is read-only\.$/, /dmesg/],
  ["EACCES", /this user may not\.$/, /cutover doctor.*as root/],
  ["EIO", /its disk fails\.$/, /dmesg/],
])("what the host's files refuse with %s is no defect of cutover", (code, message, fix) => {
  const error = asCutoverError(refusal(code, `${code}: refused`));
  expect(error).toMatchObject({ code: "files_denied", message: expect.stringMatching(message) });
  expect(error.fix).toMatch(fix);
  expect(error.fix).not.toContain("bug in cutover");
});

test("a failing disk is told without a file, and a directory that cannot be made as a read-only disk", () => {
  const failed = Object.assign(new Error("EIO: i/o error, write"), { code: "EIO", syscall: "write" });
  expect(asCutoverError(failed)).toMatchObject({
    code: "files_denied",
    message: expect.stringContaining("disk fails"),
  });
  const unmade = Object.assign(refusal("ENOENT", "ENOENT: no such file or directory, mkdir"), { syscall: "mkdir" });
  expect(asCutoverError(unmade).code).toBe("files_denied");
  expect(asCutoverError(refusal("ENOENT", "ENOENT: no such file or directory, open")).code).toBe("internal");
});

test("a full disk may have bytes left, and no inodes", () => {
  expect(asCutoverError(refusal("ENOSPC", "ENOSPC: no space left, open")).fix).toContain("`df -i`");
});

test("a quota is a full disk, on the host too", () => {
  expect(asCutoverError(refusal("EDQUOT", "EDQUOT: disk quota exceeded, write")).code).toBe("disk_full");
});

test("a runner's files are not the host's, and a denied call without a file is still unexpected", () => {
  expect(asCutoverError(refusal("EACCES", "EACCES: refused"), "runner").code).toBe("internal");
  expect(asCutoverError(Object.assign(new Error("EACCES"), { code: "EACCES", syscall: "listen" })).code).toBe(
    "internal",
  );
});
