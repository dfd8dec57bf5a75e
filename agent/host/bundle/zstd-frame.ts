/**
 * Finds the end of the first zstd frame (RFC 8878, section 3.1.1) in a stream of pieces. The decompressor cannot: if a piece
 * ends with the frame, it takes what follows for another frame, and silently skips a frame without content.
 */
export class ZstdFrame {
  /** The bytes of the next field so far; it may span pieces. */
  #field: Buffer = Buffer.alloc(0);
  #wanted = 5;
  #next: "descriptor" | "block" | "end" = "descriptor";
  /** Bytes to skip before the next field. */
  #skip = 0;
  #checksum = 0;

  /** @returns how many bytes of this piece belong to the frame; fewer than its length if the frame ends in it */
  take(piece: Buffer): number {
    let at = 0;
    while (at < piece.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, piece.length - at);
        this.#skip -= passed;
        at += passed;
      } else if (this.#next === "end") {
        break;
      } else {
        const part = piece.subarray(at, at + this.#wanted - this.#field.length);
        at += part.length;
        this.#field = Buffer.concat([this.#field, part]);
        if (this.#field.length === this.#wanted) this.#read(this.#field);
      }
    }
    return at;
  }

  #read(field: Buffer): void {
    this.#field = Buffer.alloc(0);
    this.#wanted = 3;
    if (this.#next === "descriptor") {
      this.#readDescriptor(field.readUInt8(4));
      return;
    }
    const header = field.readUIntLE(0, 3);
    const runLength = ((header >> 1) & 3) === 1;
    this.#skip = runLength ? 1 : header >> 3;
    if ((header & 1) === 1) {
      this.#skip += this.#checksum;
      this.#next = "end";
    }
  }

  #readDescriptor(descriptor: number): void {
    const singleSegment = (descriptor >> 5) & 1;
    const contentSize = [singleSegment, 2, 4, 8][descriptor >> 6] ?? 0;
    const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
    this.#checksum = ((descriptor >> 2) & 1) * 4;
    this.#skip = 1 - singleSegment + dictionary + contentSize;
    this.#next = "block";
  }
}
