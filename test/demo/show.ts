import { stripVTControlCharacters, styleText } from "node:util";

const { FORCE_COLOR, NO_COLOR, TERM } = process.env;
const terminal = process.stdout.isTTY === true && TERM !== "dumb";
const colours = (terminal || FORCE_COLOR === "1") && (NO_COLOR ?? "") === "";

export type Format = "bold" | "dim" | "red" | "green" | "cyan";

export function styled(format: Format, text: string): string {
  return colours ? styleText(format, text, { validateStream: false }) : text;
}

export function print(text = ""): void {
  process.stdout.write(`${text}\n`);
}

export function heading(text: string): void {
  print(`\n${styled("bold", text)}`);
}

/** One finished step: a tick, what it was, how long it took. */
export function step(name: string, took: string, note = ""): void {
  const gap = " ".repeat(Math.max(0, 32 - stripVTControlCharacters(name).length));
  print(
    `  ${styled("green", "✓")} ${name}${gap} ${styled("cyan", took.padStart(8))}${note === "" ? "" : `  ${styled("dim", note)}`}`,
  );
}

export function fact(text: string): void {
  print(`  ${text}`);
}

/** Milliseconds as the Action's log writes them. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)}ms` : `${(ms / 1000).toFixed(1)}s`;
}
