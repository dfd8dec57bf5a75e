import { StringDecoder } from "node:string_decoder";

/** Longer lines are cut, so that a command without newlines cannot fill the memory. In UTF-16 units. */
export const longestLine = 8192;

/** Makes lines of output as it comes. A carriage return ends a line too: progress bars have no other end. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #line = "";
  #cut = false;
  #afterReturn = false;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(bytes: Buffer): void {
    this.#add(this.#decoder.write(bytes));
  }

  /** Gives out a last line without a newline. */
  end(): void {
    this.#add(this.#decoder.end());
    if (this.#line !== "") this.#finish();
  }

  #add(text: string): void {
    if (text === "") return;
    const whole = this.#afterReturn && text.startsWith("\n") ? text.slice(1) : text;
    this.#afterReturn = text.endsWith("\r");
    const parts = whole.split(/\r\n|\r|\n/);
    for (const [index, part] of parts.entries()) {
      if (index > 0) this.#finish();
      this.#append(part);
    }
  }

  #append(text: string): void {
    const room = longestLine - this.#line.length;
    this.#line += text.slice(0, room);
    this.#cut ||= text.length > room;
  }

  #finish(): void {
    const line = this.#cut ? `${this.#line}…` : this.#line;
    this.#line = "";
    this.#cut = false;
    this.#onLine(line);
  }
}
