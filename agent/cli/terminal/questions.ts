import { createInterface } from "node:readline/promises";
import { text as readAll } from "node:stream/consumers";
import { CutoverError } from "../../../shared/errors.ts";
import type { Terminal } from "./terminal.ts";

/** Asks a person at a terminal; every answer except yes means no. */
export async function confirm({ stdin, stdout }: Terminal, question: string): Promise<boolean> {
  const questions = createInterface({ input: stdin, output: stdout });
  try {
    const answer = await questions.question(`${question} [y/N] `);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    questions.close();
  }
}

/** All of standard input; with `exact` also its last newline, which `echo` and editors add. */
export async function readSecret({ stdin }: Terminal, exact: boolean): Promise<string> {
  const text = await readAll(stdin);
  return exact ? text : text.replace(/\r?\n$/, "");
}

interface Typing {
  setRawMode?(mode: boolean): unknown;
}

/**
 * Asks a person at the terminal for one answer to each question, and shows nothing of what they type.
 * @throws CutoverError request_invalid on Ctrl-C
 */
export async function askSecrets({ stdin, stderr }: Terminal, questions: string[]): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const answers: string[] = [];
  let typed = "";
  const answer = (): void => {
    answers.push(typed);
    typed = "";
    stderr.write(`\n${questions[answers.length] ?? ""}`);
    if (answers.length === questions.length) resolve();
  };
  const onData = (chunk: Buffer | string): void => {
    for (const key of String(chunk)) {
      if (key === "\u0003") reject(cancelled());
      else if (key === "\r" || key === "\n" || key === "\u0004") answer();
      else typed = key === "\u007f" || key === "\b" ? Array.from(typed).slice(0, -1).join("") : typed + key;
    }
  };
  const onEnd = (): void => reject(cancelled());
  const raw = (mode: boolean) => (stdin as Typing).setRawMode?.(mode);
  raw(true);
  stderr.write(questions[0] ?? "");
  stdin.setEncoding("utf8").on("data", onData).once("end", onEnd);
  try {
    await promise;
    return answers;
  } finally {
    stdin.off("data", onData).off("end", onEnd).pause();
    raw(false);
  }
}

function cancelled(): CutoverError {
  return new CutoverError("request_invalid", "Nothing was entered.", { unchanged: "Nothing was changed." });
}
