import type { Readable, Writable } from "node:stream";
import { stripVTControlCharacters, styleText } from "node:util";

/** Where a command reads and writes, so that a test can be the terminal. */
export interface Terminal {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean };
  stderr: Writable & { isTTY?: boolean };
  env: NodeJS.ProcessEnv;
  /** Milliseconds since the epoch. */
  now(): number;
}

export type Style = (format: "bold" | "dim" | "red" | "green" | "yellow" | "cyan", text: string) => string;

/** Colours for a person at a terminal who has not set NO_COLOR; otherwise the text as it is. */
export function styleFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Style {
  const wanted = stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return wanted ? (format, text) => styleText(format, text, { validateStream: false }) : (_, text) => text;
}

/**
 * Text from a host or a release, fit for a terminal: no escape sequence that moves the cursor, renames the window or
 * hides text, no control character, no mark that turns the direction of writing. Newlines stay.
 */
export function safe(text: string): string {
  return (
    stripVTControlCharacters(text)
      .replace(/\t/g, "    ")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out here
      .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200e\u200f]/g, "")
  );
}

export function print(terminal: Terminal, text: string): void {
  terminal.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
