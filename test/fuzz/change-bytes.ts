import type { Chance } from "./chance.ts";

const interesting = [0, 1, 0x20, 0x2e, 0x2f, 0x30, 0x37, 0x5c, 0x7f, 0x80, 0xff];

/** One change of a few bytes, anywhere: what a bad line, a bad disk or a curious person does. */
export function changeBytes(bytes: Buffer, chance: Chance): Buffer {
  const at = chance.below(bytes.length + 1);
  const length = 1 + chance.below(chance.one([1, 4, 40, 600]));
  const insert = (piece: Buffer, dropped = 0) =>
    Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(Math.min(bytes.length, at + dropped))]);
  switch (chance.below(7)) {
    case 0:
      return insert(Buffer.from([(bytes[at] ?? 0) ^ (1 << chance.below(8))]), 1);
    case 1:
      return insert(Buffer.from([chance.one(interesting)]), 1);
    case 2:
      return insert(chance.bytes(length), length);
    case 3:
      return insert(chance.bytes(length));
    case 4:
      return insert(Buffer.alloc(0), length);
    case 5:
      return bytes.subarray(0, at);
    default: {
      const from = chance.below(bytes.length + 1);
      return insert(bytes.subarray(from, from + length));
    }
  }
}
