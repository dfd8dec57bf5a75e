import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { type LineLimit, LineSplitter, linesOf } from "../../shared/lines.ts";

function split(chunks: (string | Buffer)[], limit?: LineLimit): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), limit);
  for (const chunk of chunks) splitter.write(Buffer.from(chunk));
  splitter.end();
  return lines;
}

test.each<[string, (string | Buffer)[], string[]]>([
  ["lines in one piece, the last without an end", ["a\nb\n\nc"], ["a", "b", "", "c"]],
  ["a line in many pieces", ["a", "b", "\n", "c\n"], ["ab", "c"]],
  ["a carriage return", ["10 %\r20 %\r\ndone\n"], ["10 %", "20 %", "done"]],
  ["a carriage return and its newline in two pieces", ["a\r", "\nb"], ["a", "b"]],
  ["a letter in two pieces", [Buffer.from([0xc3]), Buffer.from([0xbc, 0x0a])], ["ü"]],
  ["nothing", [], []],
])("%s", (_name, chunks, lines) => {
  expect(split(chunks)).toEqual(lines);
});

test("a line that is too long is cut, and the next one is whole", () => {
  expect(split(["abc", "def\nxyz\n"], { longest: 4, tooLong: "cut" })).toEqual(["abcd…", "xyz"]);
});

test("a line that is too long is refused, also before its end has come; what came before it is given out", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), { longest: 4, tooLong: "refuse" });
  splitter.write(Buffer.from("four\nfi"));
  expect(() => splitter.write(Buffer.from("ve!"))).toThrow(RangeError);
  expect(lines).toEqual(["four"]);
});

test("a stream's lines come as they are written, and its error comes through without the broken line", async () => {
  const lines: string[] = [];
  async function* source() {
    yield Buffer.from("a\nb\nhal");
    throw new Error("broken");
  }
  const reading = (async () => {
    for await (const line of linesOf(Readable.from(source()), { longest: 100, tooLong: "cut" })) lines.push(line);
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(lines).toEqual(["a", "b"]);
});
