import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/**
 * Only these write to a terminal: what takes control characters out, and what asks fixed questions. `exec` relays a
 * program's streams, which are none of a command's own output.
 */
const writers = ["agent/cli/terminal/terminal.ts", "agent/cli/terminal/questions.ts", "agent/cli/commands/exec.ts"];
const writing = /\b(?:stdout|stderr)\b[^;\n]*\.write\(|\bconsole\.|\.pipe\(|writeSync\(1|writeSync\(2/;

const files = readdirSync("agent/cli", { recursive: true, encoding: "utf8" })
  .map((file) => join("agent/cli", file))
  .filter((file) => file.endsWith(".ts"));

test.each(files.filter((file) => !writers.includes(file)))("%s writes to a terminal only by terminal.ts", (file) => {
  expect(readFileSync(file, "utf8")).not.toMatch(writing);
});

test("terminal.ts writes nothing that it has not made safe", () => {
  const text = readFileSync("agent/cli/terminal/terminal.ts", "utf8");
  const written = [...text.matchAll(/\.write\(([^\n]*)\);/g)].map(([, what]) => what);
  expect(written.length).toBeGreaterThan(3);
  for (const what of written) expect(what).toMatch(/^(?:shown|drawn|jsonText)\(/);
  expect(text).toMatch(/function drawn\(text: string[^;]*\$\{shown\(text\)/);
});

test.each(["stdout.write(x)", "terminal.stderr.write(x)", "console.log(x)", "child.stdout.pipe(stdout)"])(
  "the rule finds %s",
  (line) => {
    expect(line).toMatch(writing);
  },
);
