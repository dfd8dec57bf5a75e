import { once } from "node:events";
import { Readable } from "node:stream";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";

const params = { [constants.ZSTD_c_compressionLevel]: 1 };

/**
 * Keeps bytes for later in little memory: a list of files has a quarter of its size. They are packed and unpacked in the thread
 * pool. It must be read to its end, or dropped.
 */
export class PackedBytes {
  readonly #packer = createZstdCompress({ params });
  readonly #packed: Buffer[] = [];

  constructor() {
    this.#packer.on("data", (packed: Buffer) => this.#packed.push(packed));
  }

  async push(bytes: Buffer): Promise<void> {
    if (!this.#packer.write(bytes)) await once(this.#packer, "drain");
  }

  async *pieces(): AsyncGenerator<Buffer> {
    const packed = once(this.#packer, "end");
    this.#packer.end();
    await packed;
    yield* Readable.from(this.#packed).pipe(createZstdDecompress());
  }

  drop(): void {
    this.#packer.destroy();
  }
}
