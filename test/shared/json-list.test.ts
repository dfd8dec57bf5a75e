import { expect, test } from "vitest";
import { ListReader } from "../../shared/json-list.ts";

const limits = { outside: 200, value: 40, depth: 4 };

/** What comes out, when the text comes in pieces of this size. */
function read(
  text: string | Buffer,
  size: number,
  more: Partial<typeof limits> = {},
): { values: unknown[]; outside: string } {
  const list = new ListReader("files", { ...limits, ...more });
  const bytes = Buffer.from(text as string);
  const values: unknown[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const some = list.push(bytes.subarray(at, at + size));
    if (some !== "") values.push(...(JSON.parse(`[${some}]`) as unknown[]));
  }
  return { values, outside: list.end() };
}

const sizes = [1, 2, 3, 5, 7, 16, 1000];

test.each(sizes)("a text in pieces of %d bytes comes apart into its values and the rest", (size) => {
  const files = [{ a: "]},[{" }, 7, 'x,\\"]', [1, [2]], {}, "Ж😀", null];
  for (const others of [{ b: 1 }, { "files]": ["files", ":["], c: '"files":[' }, { inner: { files: [1] } }]) {
    const text = JSON.stringify({ ...others, files, after: { d: [1, 2] } });
    expect(read(text, size)).toEqual({
      values: files,
      outside: JSON.stringify({ ...others, files: [], after: { d: [1, 2] } }),
    });
  }
  expect(read('{"files":[]}\n', size)).toEqual({ values: [], outside: '{"files":[]}\n' });
  expect(read('{"a":"files"}', size)).toEqual({ values: [], outside: '{"a":"files"}' });
  expect(read("", size)).toEqual({ values: [], outside: "" });
  // The second list stays outside, where its key is seen to occur twice.
  expect(read('{"files":[1],"files":[2]}', size)).toEqual({ values: [1], outside: '{"files":[],"files":[2]}' });
});

test.each(sizes)("what is no JSON is refused, or comes out as no JSON, in pieces of %d bytes", (size) => {
  for (const text of [
    '{"files":[1,]}',
    '{"files":[,1]}',
    '{"files":[1,,2]}',
    '{"files":[1',
    '{"files":["a]}',
    '{"files":[,]}',
    '{"files":[{]}',
  ]) {
    expect(() => {
      const { outside } = read(text, size);
      JSON.parse(outside);
    }, text).toThrow();
  }
  expect(() => read(Buffer.from([...Buffer.from('{"files":["'), 0xff, ...Buffer.from('"]}')]), size)).toThrow(
    "not UTF-8",
  );
  expect(() => read(Buffer.from([0x7b, 0xff]), size)).toThrow("not UTF-8");
});

test.each(sizes)("too much is refused as it comes, in pieces of %d bytes", (size) => {
  const beside = "it has more than 200 bytes besides its list";
  expect(() => read(`{"a":"${"x".repeat(300)}","files":[]}`, size)).toThrow(beside);
  expect(() => read(`{"files":[],"a":"${"x".repeat(300)}"}`, size)).toThrow(beside);
  expect(() => read("[".repeat(100), size)).toThrow("nested deeper than 4");
  expect(() => read(`{"files":[${"[".repeat(100)}`, size)).toThrow("nested deeper than 4");
  if (size < 40)
    expect(() => read(`{"files":["${"x".repeat(1000)}"]}`, size)).toThrow("one of its values has more than 40 bytes");
});
