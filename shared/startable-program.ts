import { closeSync, openSync, readSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { findProgram } from "./find-program.ts";

/** Words that only a shell knows. */
const shellWords = new Set(["cd", "export", "source", ".", "set", "if", "for", "while", "ulimit", "&&", "||", ";"]);

export function isShellWord(word: string): boolean {
  return shellWords.has(word);
}

/**
 * The file of a program that the system can start: found as a shell finds it, executable, and in a format that it knows.
 * @param path the value of PATH
 * @throws Error whose message says in one line why there is none
 */
export function startableProgram(name: string, path: string, cwd: string): string {
  const program = findProgram(name, path, cwd);
  if (program === undefined) throw new Error(whyNone(name, cwd));
  checkFormat(program, name, cwd);
  return program;
}

function whyNone(name: string, cwd: string): string {
  if (shellWords.has(name)) return `no shell reads the command, and ${name} is a word of a shell`;
  if (/^\w+=/.test(name)) return `no shell reads the command, and ${name} would set a variable in a shell`;
  if (!name.includes("/")) return `there is no program ${name} on its PATH`;
  const kind = statSync(resolve(cwd, name), { throwIfNoEntry: false });
  if (kind?.isFile() === true) return `${name} is not executable`;
  return kind === undefined ? `there is no file ${name}` : `${name} is not a file`;
}

/** What the kernel would not start. process.execve would not throw then, but abort with a core dump. */
function checkFormat(program: string, name: string, cwd: string): void {
  const head = Buffer.alloc(256);
  const file = openSync(program, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  const text = head.toString("latin1");
  if (text.startsWith("\x7fELF")) return;
  const [, interpreter] = /^#![ \t]*([^\s]+)/.exec(text) ?? [];
  if (interpreter === undefined) throw new Error(`${name} is neither a program nor a script that begins with #!`);
  if (/^#![^\n]*\r\n/.test(text)) throw new Error(`${name} has Windows line ends`);
  if (findProgram(interpreter, "", cwd) === undefined) {
    throw new Error(`${name} needs ${interpreter}, which does not exist here`);
  }
}
