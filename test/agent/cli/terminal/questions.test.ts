import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { confirm } from "../../../../agent/cli/terminal/questions.ts";

/** A person's terminal, on which this is typed when the question is there. */
function typing(text: string) {
  const stdin = new PassThrough();
  const stdout = Object.assign(new PassThrough(), { isTTY: true });
  stdout.once("data", () => setImmediate(() => stdin.write(text)));
  const terminal = { stdin: Object.assign(stdin, { isTTY: true }), stdout, stderr: stdout, env: {}, now: Date.now };
  return confirm(terminal, "Stop shop?");
}

test.each([
  ["y\n", true],
  ["YES\n", true],
  ["n\n", false],
  ["\n", false],
])("%j answers the question", async (text, answer) => {
  expect(await typing(text)).toBe(answer);
});

test.each([
  ["Ctrl-C", "\u0003"],
  ["Ctrl-D", "\u0004"],
])("A19: %s at [y/N] is no defect of cutover", async (_, key) => {
  await expect(typing(key)).rejects.toMatchObject({ code: "request_invalid", message: "Nothing was entered." });
});
