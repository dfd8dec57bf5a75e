const batchSize = 1024 * 1024;

/**
 * Gathers small pieces into large ones. Each write to the compressor costs a round through the thread pool, and a
 * buffer for each small file costs the garbage collector more than reading the file. So files are read into the batch.
 */
export class Batch {
  #buffer = Buffer.allocUnsafe(batchSize);
  #used = 0;

  *add(bytes: Buffer): Generator<Buffer> {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#used === batchSize) yield* this.flush();
      const copied = bytes.copy(this.#buffer, this.#used, offset);
      this.#used += copied;
      offset += copied;
    }
  }

  /** Lets `read` write into the rest of the batch. @returns what it wrote, valid until the generator is resumed */
  *fill(read: (into: Buffer) => number): Generator<Buffer, Buffer> {
    if (this.#used === batchSize) yield* this.flush();
    const start = this.#used;
    this.#used += read(this.#buffer.subarray(start));
    return this.#buffer.subarray(start, this.#used);
  }

  *flush(): Generator<Buffer> {
    if (this.#used === 0) return;
    const full = this.#buffer.subarray(0, this.#used);
    this.#buffer = Buffer.allocUnsafe(batchSize);
    this.#used = 0;
    yield full;
  }
}
