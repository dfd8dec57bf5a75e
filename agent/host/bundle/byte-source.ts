/** Takes exact numbers of bytes from a stream of pieces. It holds one piece, or what was asked for, and never more. */
export class ByteSource {
  readonly #pieces: AsyncIterator<Buffer>;
  #piece: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** At least one byte and at most `limit`; undefined at the end. */
  async some(limit: number): Promise<Buffer | undefined> {
    while (this.#piece.length === 0) {
      const { value, done } = await this.#pieces.next();
      if (done) return undefined;
      this.#piece = value;
    }
    const taken = this.#piece.subarray(0, limit);
    this.#piece = this.#piece.subarray(taken.length);
    return taken;
  }

  /** As `some`, but gathers what comes in smaller pieces than `least`; undefined also if the stream ends before that. */
  async gathered(limit: number, least: number): Promise<Buffer | undefined> {
    const wanted = Math.min(limit, least);
    const first = await this.some(limit);
    if (first === undefined || first.length >= wanted) return first;
    const rest = await this.take(wanted - first.length);
    return rest && Buffer.concat([first, rest]);
  }

  /** Exactly `size` bytes; undefined if the stream ends earlier. */
  async take(size: number): Promise<Buffer | undefined> {
    if (size <= this.#piece.length) {
      const taken = this.#piece.subarray(0, size);
      this.#piece = this.#piece.subarray(size);
      return taken;
    }
    // Filled as the pieces come, so that they need not all be there with a copy of them.
    const taken = Buffer.allocUnsafeSlow(size);
    for (let length = 0; length < size; ) {
      const part = await this.some(size - length);
      if (part === undefined) return undefined;
      length += part.copy(taken, length);
    }
    return taken;
  }

  /** Ends the stream, also before its end. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
