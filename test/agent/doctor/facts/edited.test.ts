import { expect, test } from "vitest";
import { isLater } from "../../../../agent/doctor/facts/edited.ts";

test("agent.yml was changed after the agent's start only if it was so by a whole second", () => {
  const started = "ExecMainStartTimestamp=@1795786280\n";
  expect(isLater(started, 1_795_786_281_000)).toBe(true);
  expect(isLater(started, 1_795_786_280_900)).toBe(false);
  expect(isLater("ExecMainStartTimestamp=\n", 1_795_786_281_000)).toBe(false);
  expect(isLater(started, undefined)).toBe(false);
});
