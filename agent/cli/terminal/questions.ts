import { emitKeypressEvents, type Key } from "node:readline";
import { createInterface } from "node:readline/promises";
import { text as readAll } from "node:stream/consumers";
import { CutoverError } from "../../../shared/errors.ts";
import { safe, type Terminal } from "./terminal.ts";

/**
 * Asks a person at a terminal; every answer except yes means no.
 * @throws CutoverError request_invalid on Ctrl-C and Ctrl-D
 */
export async function confirm(terminal: Terminal, question: string): Promise<boolean> {
  return /^y(?:es)?$/i.test(await ask(terminal, `${question} [y/N] `));
}

/**
 * Has a person at a terminal choose one of several things by its number.
 * @throws CutoverError request_invalid for another answer, on Ctrl-C and Ctrl-D
 */
export async function choose<T>(
  terminal: Terminal,
  question: string,
  things: T[],
  describe: (thing: T) => string,
): Promise<T> {
  const lines = things.map((thing, index) => `  ${index + 1}  ${safe(describe(thing))}`);
  const answer = await ask(terminal, `${[question, ...lines].join("\n")}\nNumber: `);
  const chosen = /^\d{1,3}$/.test(answer) ? things[Number(answer) - 1] : undefined;
  if (chosen !== undefined) return chosen;
  throw new CutoverError("request_invalid", `${JSON.stringify(answer)} is none of 1 to ${things.length}.`, {
    unchanged: "Nothing was changed.",
  });
}

async function ask({ stdin, stdout }: Terminal, question: string): Promise<string> {
  const questions = createInterface({ input: stdin, output: stdout });
  const { promise: closed, reject } = Promise.withResolvers<never>();
  const cancel = () => reject(cancelled());
  // Ctrl-C ends the question with an error of Node's, Ctrl-D with nothing at all.
  questions.once("SIGINT", cancel).once("close", cancel);
  try {
    return (await Promise.race([questions.question(question), closed])).trim();
  } finally {
    closed.catch(() => undefined);
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
 * Asks a person at the terminal for one answer to each question, and shows nothing of what they type. Backspace, Ctrl-U and
 * Ctrl-W take away; other keys that write nothing, such as arrows, do nothing.
 * @throws CutoverError request_invalid on Ctrl-C, and on Ctrl-D when nothing was typed
 */
export async function askSecrets({ stdin, stderr }: Terminal, questions: string[]): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const answers: string[] = [];
  let typed = "";
  const answer = (): void => {
    answers.push(typed);
    typed = "";
    stderr.write(`\n${safe(questions[answers.length] ?? "")}`);
    if (answers.length === questions.length) resolve();
  };
  const onKey = (text: string | undefined, key: Key): void => {
    const name = key.ctrl === true ? `ctrl-${key.name}` : key.name;
    if (name === "ctrl-c" || (name === "ctrl-d" && typed === "")) reject(cancelled());
    else if (name === "return" || name === "enter" || name === "ctrl-d") answer();
    else typed = edited(typed, text, { ...key, name });
  };
  const onEnd = (): void => reject(cancelled());
  const raw = (mode: boolean) => (stdin as Typing).setRawMode?.(mode);
  raw(true);
  stderr.write(safe(questions[0] ?? ""));
  emitKeypressEvents(stdin);
  stdin.on("keypress", onKey).once("end", onEnd).resume();
  try {
    await promise;
    return answers;
  } finally {
    stdin.off("keypress", onKey).off("end", onEnd).pause();
    raw(false);
  }
}

/** The line after a key that does not end it. */
function edited(line: string, text: string | undefined, { name, ctrl, meta }: Key): string {
  if (name === "backspace") return Array.from(line).slice(0, -1).join("");
  if (name === "ctrl-u") return "";
  if (name === "ctrl-w") return line.replace(/\S*\s*$/, "");
  const types = ctrl !== true && meta !== true && text !== undefined && !isControl(text);
  return types ? line + text : line;
}

/** A tab may be part of a value that was pasted. */
function isControl(text: string): boolean {
  return /^\p{Cc}/u.test(text) && text !== "\t";
}

function cancelled(): CutoverError {
  return new CutoverError("request_invalid", "Nothing was entered.", { unchanged: "Nothing was changed." });
}
