import { rawEntry, rawHeader } from "../hostile/archives/raw-tar.ts";
import type { Chance } from "./chance.ts";
import { changeBytes } from "./change-bytes.ts";

const block = 512;
/** Where a header has its fields: offset and length. */
const fields = [
  [0, 100],
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [136, 12],
  [156, 1],
  [157, 100],
  [257, 8],
  [265, 32],
  [297, 32],
  [329, 8],
  [337, 8],
  [345, 155],
  [500, 12],
] as const;
const words = [
  "app/a.py",
  "../../x",
  "/etc/passwd",
  "app/a.py\0x",
  "00000000006 ",
  "77777777777 ",
  "-1",
  "\x80\0\0\0\0\0\0\0\0\0\0\x06",
  "0006755 ",
  "5",
  "2",
  "x",
  "L",
  "S",
  "",
];

/** One change of a tar by its structure: a field of a header with a right checksum, or whole blocks. */
export function changeArchive(tar: Buffer, chance: Chance): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < tar.length; at += block) blocks.push(tar.subarray(at, at + block));
  if (blocks.length === 0) return stranger(chance);
  const at = chance.below(blocks.length);
  const other = chance.below(blocks.length);
  switch (chance.below(8)) {
    case 0:
    case 1:
    case 2: {
      const headers = blocks.flatMap((one, place) => (one.toString("latin1", 257, 262) === "ustar" ? [place] : []));
      const place = headers.length === 0 ? at : chance.one(headers);
      blocks[place] = changeHeader(blocks[place] ?? Buffer.alloc(block), chance);
      return Buffer.concat(blocks);
    }
    case 3:
      return Buffer.concat(blocks.toSpliced(at, 1 + chance.below(3)));
    case 4:
      return Buffer.concat(blocks.toSpliced(at, 0, ...blocks.slice(other, other + 1 + chance.below(4))));
    case 5:
      return Buffer.concat(
        blocks.with(at, blocks[other] ?? Buffer.alloc(0)).with(other, blocks[at] ?? Buffer.alloc(0)),
      );
    case 6:
      return Buffer.concat(blocks.toSpliced(at, 0, Buffer.alloc(block * (1 + chance.below(30)))));
    default:
      return Buffer.concat(blocks.toSpliced(at, 0, stranger(chance)));
  }
}

function changeHeader(header: Buffer, chance: Chance): Buffer {
  const changed = Buffer.alloc(block);
  header.copy(changed);
  const [start, length] = chance.one(fields);
  const field = changed.subarray(start, start + length);
  if (chance.below(2) === 0) {
    field.fill(0);
    Buffer.from(chance.one(words), "latin1").copy(field);
  } else {
    changeBytes(field, chance).copy(field);
  }
  changed.fill(" ", 148, 156);
  const sum = changed.reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return changed;
}

function stranger(chance: Chance): Buffer {
  const name = chance.one(["app/a.py", "app/zz.py", "../x", "PaxHeader/x", "././@LongLink"]);
  const flag = chance.one(["0", "\0", "1", "2", "5", "7", "x", "g", "L", "K", "S", "V"]);
  return chance.below(2) === 0
    ? rawHeader({ name, flag })
    : rawEntry({ name, flag }, chance.one(["17 path=app/a.py\n", "x", ""]));
}
