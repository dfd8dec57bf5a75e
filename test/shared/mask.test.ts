import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { maskUrls, maskValues } from "../../shared/mask.ts";

describe("addresses", () => {
  test.each([
    [
      "Looking in indexes: https://me:hunter2@pypi.example.com/simple",
      "Looking in indexes: https://***@pypi.example.com/simple",
    ],
    ["git+https://ghp_token@github.com/a/b", "git+https://***@github.com/a/b"],
    ["postgres://shop:p%40ss@db:5432/shop, redis://:word@cache", "postgres://***@db:5432/shop, redis://***@cache"],
    ["https://example.com/~me@home", "https://example.com/~me@home"],
    ["mail me@example.com, see http://example.com", "mail me@example.com, see http://example.com"],
  ])("lose name and password: %s", (text, masked) => {
    expect(maskUrls(text)).toBe(masked);
  });

  test("a long line without any is read in one go, where going back again and again would take hours", () => {
    for (const part of ["a", "://", "a:", "x://y:"]) {
      const text = part.repeat(1_000_000);
      expect(maskUrls(text) === text).toBe(true);
    }
  });
});

describe("values of secrets", () => {
  const values = [
    "s3cret-value",
    `it's "so" \\so`,
    "it's 'so'",
    "-----BEGIN-----\nabc+/def=\n-----END-----",
    "short",
    "ü&= word",
  ];
  const mask = maskValues(values);

  test("are taken out wherever they stand, short words not", () => {
    expect(mask("a s3cret-value, ands3cret-valueb; short")).toBe("a ***, and***b; short");
    expect(mask("-----BEGIN-----\nabc+/def=\n-----END-----")).toBe("***");
    expect(mask("line: abc+/def=")).toBe("line: ***");
  });

  test("are taken out as JSON, URLs and Python write them", () => {
    const printed = execFileSync(
      "python3",
      ["-c", "import sys, json; print(json.loads(sys.argv[1]))", JSON.stringify(values)],
      {
        encoding: "utf8",
      },
    );
    for (const text of [JSON.stringify(values), printed, values.map(encodeURIComponent).join("&")]) {
      const left = mask(text);
      for (const word of ["s3cret", "so", "abc", "word"]) expect(left).not.toContain(word);
    }
  });

  test("that hold one another leave nothing of the longer one", () => {
    expect(maskValues(["abcdef", "abcdefghij"])("abcdefghij")).toBe("***");
  });
});
