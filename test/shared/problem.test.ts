import { expect, test } from "vitest";
import { CutoverError } from "../../shared/errors.ts";
import { fromProblem, toFailure } from "../../shared/problem.ts";

test("a failure carries the end of what was said, whatever an app says", () => {
  const long = `${"x".repeat(1_000_000)}the end`;
  const evidence = Array.from({ length: 20 }, (_, index) => ({ source: `web-${index}`, text: long }));
  const failure = toFailure(new CutoverError("release_command_failed", "It ended with 1.", { evidence }));
  expect(JSON.stringify(failure).length).toBeLessThan(70_000);
  expect(failure.evidence).toHaveLength(20);
  for (const { text } of failure.evidence?.slice(0, 4) ?? []) expect(text).toMatch(/^…x+the end$/);
  const short = toFailure(
    new CutoverError("release_command_failed", "It ended with 1.", { evidence: [{ source: "a", text: "b" }] }),
  );
  expect(fromProblem(short).evidence).toEqual([{ source: "a", text: "b" }]);
});
