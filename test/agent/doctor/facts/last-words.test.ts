import { expect, test } from "vitest";
import { lastReason } from "../../../../agent/doctor/facts/last-words.ts";
import { lastWords } from "../../../../agent/wire/last-words.ts";
import { CutoverError } from "../../../../shared/errors.ts";

const words = (message: string) =>
  lastWords(new CutoverError("host_settings_invalid", message, { unchanged: "Nothing.", fix: "Correct it." }), {
    INVOCATION_ID: "1",
  }).text;

test("of all that the service said, the reason of its last stop", () => {
  expect(lastReason(words("The key is gone.") + words("The certificate is gone."))).toEqual({
    ...{ said: "The certificate is gone.", fix: "Correct it." },
  });
});

test("of an agent whose helper ends, what the helper said", () => {
  const agents =
    "cutover-agent: The helper cannot be asked: it ended. [helper_unreachable]\nThe sites go on serving.\n";
  const helpers = "cutover-helper: None of /usr/bin/python3 runs. [python_not_found]\nInstall it.\n";
  expect(lastReason(agents, helpers)).toEqual({ said: "None of /usr/bin/python3 runs.", fix: "Install it." });
  expect(lastReason(agents)?.said).toBe("The helper cannot be asked: it ended.");
});

test("nothing where it said nothing", () => {
  expect(lastReason("-- No entries --\n")).toBeUndefined();
});
