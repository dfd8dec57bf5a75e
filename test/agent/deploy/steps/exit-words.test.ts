import { expect, test } from "vitest";
import { exitWords } from "../../../../agent/deploy/steps/exit-words.ts";

test("a program that printed nothing has no log that may have details", () => {
  const how = "BACKOFF: Exited too quickly (process log may have details)";
  expect(exitWords("web-0", how, undefined, false)).toEqual({
    message: "web-0 exited during startup and printed nothing (BACKOFF: Exited too quickly).",
    fix: expect.stringContaining("must stay in the foreground"),
  });
});
