import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { decodeText } from "../../shared/decode-text.ts";

/** The bytes that Python itself makes of a text. */
function encoded(text: string, codec: string): Buffer {
  const script = "import sys; sys.stdout.buffer.write(sys.argv[1].encode(sys.argv[2]))";
  return execFileSync("/usr/bin/python3", ["-I", "-c", script, text, codec], { env: { LANG: "C.UTF-8" } });
}

describe("the text of a file", () => {
  it.each(["utf-8", "utf-8-sig", "utf-16", "utf-32"])("is read from %s", (codec) => {
    expect(decodeText(encoded("Django==4.2\n# 依赖 😀\n", codec))).toBe("Django==4.2\n# 依赖 😀\n");
  });

  it.each([
    ["utf-16-le", [0xff, 0xfe]],
    ["utf-16-be", [0xfe, 0xff]],
    ["utf-32-be", [0x00, 0x00, 0xfe, 0xff]],
  ])("is read from %s with its mark", (codec, mark) => {
    expect(decodeText(Buffer.concat([Buffer.from(mark), encoded("é😀", codec)]))).toBe("é😀");
  });

  it.each([
    ["latin-1", "é"],
    ["cp1252", "€"],
    ["gbk", "依赖"],
    ["cp936", "依赖"],
    ["euc_jp", "日本"],
    ["utf_8", "日本"],
  ])("is read from the encoding that its comment names: %s", (codec, text) => {
    const whole = `#!/usr/bin/env x\n# -*- coding: ${codec} -*-\nname = "${text}"\n`;
    expect(decodeText(encoded(whole, codec))).toBe(whole);
  });

  it("is UTF-8 when the comment names nothing known, stands too late, or is no comment", () => {
    for (const text of ["# coding: klingon\né", "a\nb\n# coding: latin-1\né", "x = 'coding: latin-1'\né"]) {
      expect(decodeText(Buffer.from(text))).toBe(text);
    }
  });
});
