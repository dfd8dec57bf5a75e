import type { Readable, Writable } from "node:stream";
import { stripVTControlCharacters, styleText } from "node:util";
import { hidden } from "../../../shared/hidden-characters.ts";

/** The streams of a command, so that a test can replace the terminal. */
export interface Terminal {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean; columns?: number };
  stderr: Writable & { isTTY?: boolean };
  env: NodeJS.ProcessEnv;
  /** Milliseconds since the epoch. */
  now(): number;
}

export type Style = (format: "bold" | "dim" | "red" | "green" | "yellow" | "cyan", text: string) => string;

/** Colours for a terminal, unless NO_COLOR is set; otherwise the text is not changed. */
export function styleFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Style {
  const wanted = stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return wanted ? (format, text) => styleText(format, text, { validateStream: false }) : (_, text) => text;
}

/**
 * Makes text from a host or a release safe for a terminal: without escape sequences (which move the cursor, rename the window
 * or hide text), control characters, marks that change the direction of writing, and what cannot be seen. Newlines stay.
 */
export function safe(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\t/g, "    ")
    .replace(hidden, (mark) => (mark === "\n" ? mark : ""));
}

/** What `styleFor` writes: bold, dim, a colour, and their ends. It can neither hide text nor move the cursor. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these sequences begin with one
const ownStyles = /(\u001b\[(?:1|2|22|31|32|33|36|39)m)/;

/** Safe text, in which the styles of `styleFor` stay. */
function shown(text: string): string {
  return text
    .split(ownStyles)
    .map((part, index) => (index % 2 === 1 ? part : safe(part)))
    .join("");
}

/*
 * All that a command writes goes through these functions, so nothing that an agent, an app or a file said reaches a terminal
 * as it is, whether or not a renderer has made it safe. `cutover exec` alone gives a terminal to a program.
 */

export function print(terminal: Terminal, text: string): void {
  terminal.stdout.write(shown(text.endsWith("\n") ? text : `${text}\n`));
}

/** Draws the whole screen again. @param first the screen still shows something else */
export function redraw(terminal: Terminal, text: string, { first }: { first: boolean }): void {
  terminal.stdout.write(drawn(text, first));
}

/** From the top: each line to its end, then what was below. So nothing flickers, and the last line scrolls nothing away. */
function drawn(text: string, first: boolean): string {
  return `${first ? "\u001b[2J" : ""}\u001b[H${shown(text).replaceAll("\n", "\u001b[K\n")}\u001b[J`;
}

/** Text with its own newlines, on standard error. */
export function printError(terminal: Terminal, text: string): void {
  terminal.stderr.write(shown(text));
}

/** Scripts get every character: one that is not safe is escaped. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(jsonText(value, 2));
}

/** The same on standard error. @param space as for JSON.stringify */
export function printJsonError(terminal: Terminal, value: unknown, space = 0): void {
  terminal.stderr.write(jsonText(value, space));
}

function jsonText(value: unknown, space: number): string {
  // JSON.stringify escapes the control characters of the first set by itself; what is left of them is its own.
  const escaped = (mark: string) => (mark === "\n" ? mark : mark.split("").map(escapedUnit).join(""));
  return `${JSON.stringify(value, null, space).replace(hidden, escaped)}\n`;
}

const escapedUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
