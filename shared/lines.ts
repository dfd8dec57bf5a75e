import { StringDecoder } from "node:string_decoder";

export interface LineLimit {
  /** In UTF-16 units. */
  longest: number;
  /** `cut` ends a longer line with `…`. `refuse` throws a RangeError, out of the call that brought the bytes. */
  tooLong: "cut" | "refuse";
}

/**
 * Makes lines of bytes as they come. A carriage return ends a line too: progress bars have no other end. Without a
 * limit a line may have any length.
 */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #limit: LineLimit | undefined;
  readonly #decoder = new StringDecoder("utf8");
  #line = "";
  #cut = false;
  #afterReturn = false;

  constructor(onLine: (line: string) => void, limit?: LineLimit) {
    this.#onLine = onLine;
    this.#limit = limit;
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
    const { longest, tooLong } = this.#limit ?? { longest: Number.POSITIVE_INFINITY, tooLong: "refuse" };
    const room = longest - this.#line.length;
    if (text.length > room && tooLong === "refuse") throw new RangeError(`a line of more than ${longest} characters`);
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

/** The lines of a stream as they come. @throws what the stream throws, without the line that it broke off; RangeError */
export async function* linesOf(stream: AsyncIterable<Buffer>, limit: LineLimit): AsyncGenerator<string> {
  const whole: string[] = [];
  const splitter = new LineSplitter((line) => whole.push(line), limit);
  for await (const bytes of stream) {
    splitter.write(bytes);
    yield* whole.splice(0);
  }
  splitter.end();
  yield* whole;
}
