import { expect, test } from "vitest";
import { type Exited, exitWords } from "../../../../agent/deploy/steps/exit-words.ts";

const silent: Exited = {
  ...{ program: "web-0", how: "BACKOFF: Exited too quickly (process log may have details)" },
  ...{ cause: undefined, printed: false, command: "python app.py {socket}" },
};

test("a program that printed nothing has no log that may have details", () => {
  expect(exitWords(silent)).toEqual({
    message: "web-0 exited during startup and printed nothing (BACKOFF: Exited too quickly).",
    fix: expect.stringContaining("must stay in the foreground"),
  });
});

test.each([
  [
    "exit code 0",
    "exited during startup with exit code 0",
    /foreground.*Run `python app.py \{socket\}` in the project: it must not/,
  ],
  ["exit code 1", "exited during startup with exit code 1", /Run `python app.py \{socket\}`.*sys\.exit/],
  ["exit code 137", "exited during startup with exit code 137", /too little memory/],
  ["killed by SIGKILL", "was killed by SIGKILL during startup", /too little memory/],
  ["killed by SIGSEGV (core dumped)", "was killed by SIGSEGV during startup", /C code.*PYTHONFAULTHANDLER/],
])("a program that printed nothing and ended by %s", (how, words, fix) => {
  expect(exitWords({ ...silent, how: `BACKOFF: ${how}` })).toEqual({
    message: `web-0 ${words} and printed nothing.`,
    fix: expect.stringMatching(fix),
  });
});

test.each(["celery -A jobs worker --detach", "gunicorn -D app:app", "celery multi start w1"])(
  "a program that goes to the background is told by the word that sends it there: %s",
  (command) => {
    const { fix } = exitWords({ ...silent, how: "EXITED: exit code 0", command });
    expect(fix).toMatch(/^`(?:--detach|-D|multi start)` in its command sends it to the background/);
    expect(exitWords({ ...silent, how: "EXITED: exit code 1", command }).fix).not.toContain("background");
  },
);

test("what a program said last stands next to its exit code, and an error without", () => {
  const how = "EXITED: exit code 3";
  const vague = { line: "starting up", vague: true } as const;
  expect(exitWords({ ...silent, how, cause: vague, printed: true })).toEqual({
    message: "web-0 exited during startup with exit code 3: starting up.",
    fix: expect.stringMatching(/^If that does not say why: run `python app\.py/),
  });
  const known = { line: "KeyError: 'A'", fix: "Set it." };
  expect(exitWords({ ...silent, how, cause: known, printed: true })).toEqual({
    message: "web-0 exited during startup: KeyError: 'A'.",
    fix: "Set it.",
    frame: undefined,
  });
});
