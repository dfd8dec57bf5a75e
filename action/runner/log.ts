import { randomUUID } from "node:crypto";
import { hidden } from "../../shared/hidden-characters.ts";

/** The part of @actions/core that the log uses. */
export interface Console {
  info(message: string): void;
  startGroup(name: string): void;
  endGroup(): void;
  error(message: string, properties: { title?: string; file?: string; startLine?: number }): void;
  warning(
    message: string,
    properties: { title?: string; file?: string; startLine?: number; startColumn?: number },
  ): void;
  setSecret(secret: string): void;
}

const longestLine = 4000;

/**
 * Makes text one line of a log, without escape sequences, control characters and what cannot be seen: a carriage return would
 * start a line, and a mark of direction could show a file under another name.
 */
export function cleanLine(text: string): string {
  const clean = text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal sequences are what is taken away
    .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)/g, "")
    .replace(hidden, (mark) => (mark === "\t" ? mark : ""));
  return clean.length > longestLine ? `${clean.slice(0, longestLine)} [...]` : clean;
}

export function cleanLines(text: string): string[] {
  return text.split(/\r\n|[\n\r\u0085\u2028\u2029]/).map(cleanLine);
}

/** The runner obeys commands after `::` at the start of a line, and after `##[` anywhere in it. */
function mayBeCommand(line: string): boolean {
  return line.includes("::") || line.includes("##[");
}

/**
 * The step's log. While it prints text from elsewhere, the runner's commands are stopped. Each command of our own
 * (group, annotation, mask) starts them again first, so the two can be mixed freely.
 */
export class Log {
  readonly #console: Console;
  #stopped: string | undefined;
  #grouped = false;
  /** The title of a group that begins with the first text from elsewhere. */
  #pending: string | undefined;

  constructor(console: Console) {
    this.#console = console;
  }

  line(text: string): void {
    for (const line of cleanLines(text)) {
      if (mayBeCommand(line)) this.#stopCommands();
      this.#console.info(line);
    }
  }

  /** Text from a host, from pip, from the project's own commands. */
  untrusted(text: string): void {
    if (this.#pending !== undefined) this.startGroup(this.#pending);
    this.#stopCommands();
    for (const line of cleanLines(text)) this.#console.info(line);
  }

  /** A group for what is printed until it ends, if that is anything. */
  groupIfPrinted(title: string): void {
    this.endGroup();
    this.#pending = title;
  }

  /** Groups do not nest: an open one is ended first. */
  startGroup(title: string): void {
    this.endGroup();
    this.#console.startGroup(cleanLine(title));
    this.#grouped = true;
  }

  endGroup(): void {
    this.#pending = undefined;
    this.#resumeCommands();
    if (this.#grouped) this.#console.endGroup();
    this.#grouped = false;
  }

  /** @param at where in the repository. A path from a host is only a hint: GitHub ignores a file that the repository lacks. */
  annotate(title: string, message: string, at?: { file: string; line: number }): void {
    this.endGroup();
    const place = at === undefined ? {} : { file: cleanLine(at.file), startLine: at.line };
    this.#console.error(cleanLines(message).join("\n"), { ...(title !== "" && { title: cleanLine(title) }), ...place });
  }

  /** @param place who it is about, or the file's path in the repository and where in it */
  warn(message: string, place: { title: string } | { file: string; line?: number; column?: number }): void {
    this.endGroup();
    this.#console.warning(
      cleanLines(message).join("\n"),
      "title" in place ? { title: cleanLine(place.title) } : at(place),
    );
  }

  mask(secret: string): void {
    this.#resumeCommands();
    this.#console.setSecret(secret);
  }

  #stopCommands(): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = randomUUID();
    this.#console.info(`::stop-commands::${this.#stopped}`);
  }

  #resumeCommands(): void {
    if (this.#stopped === undefined) return;
    this.#console.info(`::${this.#stopped}::`);
    this.#stopped = undefined;
  }
}

function at({ file, line, column }: { file: string; line?: number; column?: number }) {
  return {
    title: cleanLine(line === undefined ? file : `${file}:${line}`),
    file: cleanLine(file),
    ...(line !== undefined && { startLine: line }),
    ...(column !== undefined && { startColumn: column }),
  };
}
