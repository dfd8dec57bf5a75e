import { parseEnv } from "node:util";
import { expect, test } from "vitest";
import { changeEnvFile, envFileFaults, nameFault, parseEnvFile, valueFault } from "../../shared/env-file.ts";
import { seededRandom } from "../harness/random.ts";

const values = [
  "plain",
  "",
  " spaces around ",
  "\ttab\t",
  "it's",
  'say "hello"',
  "back`tick",
  `both ' and "`,
  "a'b\"c`d",
  "100%",
  "$HOME $(id) $$",
  "back\\slash \\n \\\\ \\",
  "two\nlines",
  "two\nlines\n",
  "\n",
  "\\n and\na newline",
  "#no comment",
  "a#b # c",
  "a=b=c",
  "=",
  "Grüße, 世界 🎉",
  "\u00a0hard space\u00a0",
  "'",
  '"',
  "`",
  "''",
  "-----BEGIN KEY-----\nabc+/=\n-----END KEY-----\n",
  "postgres://u:p%40ss'w@db/x?y=1#z",
  "export X=1",
];

test.each(values)("a value is read back as it is: %j", (value) => {
  expect(valueFault(value)).toBeUndefined();
  for (const before of [
    "",
    "A=1",
    "# c\nA='x'\nNAME=old # note\nB=\"two\nlines\"\n",
    "NAME='a\nb'\nNAME=second\nA=1\n",
  ]) {
    const { NAME: _, ...others } = parseEnv(before);
    const text = changeEnvFile(before, { NAME: value });
    expect(parseEnv(text ?? "")).toEqual({ ...others, NAME: value });
    expect(parseEnv(changeEnvFile(text ?? "", { NAME: undefined }) ?? "")).toEqual(others);
  }
});

test("any text is either read back exactly or refused", () => {
  const random = seededRandom(7);
  const alphabet = ["'", '"', "`", "\\", "n", "\n", "#", " ", "$", "=", "a", "%", "é"];
  for (let round = 0; round < 3000; round++) {
    const value = Array.from({ length: Math.floor(random() * 9) }, () => alphabet[Math.floor(random() * 13)]).join("");
    const text = changeEnvFile("A=1\n# kept\nB='2'\n", { NAME: value, C: "3" });
    if (valueFault(value) === undefined) expect(parseEnv(text ?? "")).toEqual({ A: "1", B: "2", NAME: value, C: "3" });
    else expect([value, text]).toEqual([value, undefined]);
  }
});

test.each([
  ["a\0b", "NUL"],
  ["a\rb", "carriage return"],
  ["a\ufffdb", "UTF-8"],
  ["x".repeat(65_537), "longer than 65536 bytes"],
  ["'\"`\n", "three kinds of quotes"],
  ["'\"` # x", "three kinds of quotes"],
])("what no line can hold is refused: %j", (value, why) => {
  expect(valueFault(value)).toContain(why);
});

test.each([
  ["PATH", "set by cutover"],
  ["HOME", "set by cutover"],
  ["CUTOVER_RELEASE", "cutover's own"],
  ["1A", "no digit first"],
  ["A-B", "letters, digits"],
  ["", "letters, digits"],
])("the name %j is refused", (name, why) => {
  expect(nameFault(name)).toContain(why);
});

test("other lines and comments stay, the last line of a name is the one that changes", () => {
  const text = `# database
DB_PASSWORD=old   # from the vault

export KEY='a
b'
DB_PASSWORD="older"
# end`;
  expect(changeEnvFile(text, { DB_PASSWORD: "it's new", KEY: "k" })).toBe(`# database

KEY=k
DB_PASSWORD="it's new"
# end`);
  expect(changeEnvFile("A=1 # first\nB=2\n", { A: "x y" })).toBe("A='x y' # first\nB=2\n");
  expect(changeEnvFile("A='x\ny'\nB=2\n", { A: undefined })).toBe("B=2\n");
  expect(changeEnvFile("A=1", { B: "2" })).toBe("A=1\nB=2\n");
  expect(changeEnvFile("A=1\n", { B: undefined })).toBe("A=1\n");
});

test("a file with an open quote is left as it is", () => {
  expect(changeEnvFile('A="open\nB=1\n', { C: 'x" y' })).toBeUndefined();
  expect(changeEnvFile('A="open\nB=1\n', { B: undefined })).toBe('A="open\n');
});

test.each([
  ["# c\n\nA=1 # x\nexport B='two\nlines'\nC=", []],
  ["A=   \nB=hunter2\n", [[2, "B is not set: the value of the line before"]]],
  ['A="open\nB=hunter2\nC="x"\n', [[1, "the quote that opens here continues to line 3"]]],
  ["hunter2\nA=1\n", [[1, "is not NAME=value"]]],
  [
    "PATH=/x\nmy hunter2=1\n",
    [
      [1, "PATH is set by cutover"],
      [2, "what is before the = is not a variable name"],
    ],
  ],
])("lines that say something else than they seem to: %j", (text, expected) => {
  const faults = envFileFaults(text);
  expect(faults).toEqual(
    expected.map(([line, message]) => ({ line, message: expect.stringContaining(String(message)) })),
  );
  expect(JSON.stringify(faults)).not.toContain("hunter2");
});

test("a byte order mark is no part of the first name", () => {
  expect(parseEnvFile("\ufeffA=1\nB=2\n")).toEqual({ A: "1", B: "2" });
  expect(envFileFaults("\ufeffA=1\nB=2\n")).toEqual([]);
  expect(changeEnvFile("\ufeffA=1\nB=2\n", { A: "3" })).toBe("A=3\nB=2\n");
});
