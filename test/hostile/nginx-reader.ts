/** A directive as nginx reads it: its words without quotes and escapes, and the block behind it. */
export interface Directive {
  words: string[];
  block?: Directive[];
}

/**
 * Reads a configuration by the rules of nginx's own reader (ngx_conf_read_token): words end at white space, `;` and `{`;
 * quotes count only where a word begins; a backslash takes the next character as it is, but for n, r and t.
 * @throws Error where nginx would refuse it
 */
export function readNginx(text: string): Directive[] {
  const reader = new Reader(text);
  const directives = reader.block();
  if (!reader.atEnd) throw new Error(`unexpected } at ${reader.position}`);
  return directives;
}

class Reader {
  readonly #text: string;
  position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.position >= this.#text.length;
  }

  /** The directives up to the end of the block or of the text. */
  block(): Directive[] {
    const directives: Directive[] = [];
    for (;;) {
      this.#skip();
      if (this.atEnd || this.#text[this.position] === "}") return directives;
      directives.push(this.#directive());
    }
  }

  #directive(): Directive {
    const words: string[] = [];
    for (;;) {
      this.#skip();
      const sign = this.#text[this.position];
      if (sign === undefined || sign === "}") throw new Error(`a directive without its end: ${words.join(" ")}`);
      if (sign === ";" || sign === "{") {
        if (words.length === 0) throw new Error(`nothing before ${sign} at ${this.position}`);
        this.position++;
        return sign === ";" ? { words } : { words, block: this.#closed() };
      }
      words.push(this.#word());
    }
  }

  #closed(): Directive[] {
    const inner = this.block();
    if (this.#text[this.position] !== "}") throw new Error("a block without its end");
    this.position++;
    return inner;
  }

  #skip(): void {
    for (;;) {
      while (/\s/.test(this.#text[this.position] ?? "x")) this.position++;
      if (this.#text[this.position] !== "#") return;
      while (!this.atEnd && this.#text[this.position] !== "\n") this.position++;
    }
  }

  #word(): string {
    const first = this.#text[this.position];
    return first === '"' || first === "'" ? this.#quoted(first) : this.#until((sign) => /[\s;{]/.test(sign));
  }

  #quoted(quote: string): string {
    this.position++;
    const word = this.#until((sign) => sign === quote);
    this.position++;
    if (!/[\s;{)]/.test(this.#text[this.position] ?? "")) throw new Error(`unexpected text after ${quote}${word}`);
    return word;
  }

  #until(ends: (sign: string) => boolean): string {
    let word = "";
    for (;;) {
      const sign = this.#text[this.position];
      if (sign === undefined) throw new Error(`a word without its end: ${word}`);
      if (sign === "\\") {
        word += escaped(this.#text[this.position + 1] ?? "");
        this.position += 2;
      } else if (ends(sign)) {
        return word;
      } else {
        word += sign;
        this.position++;
      }
    }
  }
}

function escaped(sign: string): string {
  const named: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
  return named[sign] ?? ("\"'\\".includes(sign) ? sign : `\\${sign}`);
}

/** The shape of a configuration: the same for two texts that differ only in their values. */
export function shapeOf(directives: Directive[]): unknown {
  return directives.map(({ words, block }) => {
    const [first = ""] = words;
    // In a map a line begins with a value.
    const name = /^[a-z_]+$/.test(first) ? first : "a value";
    return [name, words.length, ...(block === undefined ? [] : [shapeOf(block)])];
  });
}

/** All words, in their order. */
export function wordsOf(directives: Directive[]): string[] {
  return directives.flatMap(({ words, block }) => [...words, ...wordsOf(block ?? [])]);
}
