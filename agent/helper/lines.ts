/** Cuts a stream of bytes into lines, each at most so long. */
export class Lines {
  readonly #longest: number;
  #pieces: Buffer[] = [];
  #length = 0;

  /** @param longest bytes of a line, with its newline */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** @returns the lines that are whole now, without newlines @throws RangeError for one that is too long */
  add(bytes: Buffer): string[] {
    const lines: string[] = [];
    let rest = bytes;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.#keep(rest.subarray(0, end));
      lines.push(Buffer.concat(this.#pieces).toString("utf8"));
      this.#pieces = [];
      this.#length = 0;
      rest = rest.subarray(end + 1);
    }
    this.#keep(rest);
    return lines;
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length >= this.#longest) throw new RangeError(`a line of more than ${this.#longest} bytes`);
    if (piece.length > 0) this.#pieces.push(piece);
  }
}
