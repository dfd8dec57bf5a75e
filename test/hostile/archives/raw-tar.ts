/** Fields of a header block as they are to stand there; those not given are what the Action writes for a small file. */
export interface RawHeader {
  name?: string | Buffer;
  mode?: string | Buffer;
  uid?: string | Buffer;
  gid?: string | Buffer;
  size?: string | Buffer;
  mtime?: string | Buffer;
  checksum?: string | Buffer;
  flag?: string;
  link?: string;
  magic?: string;
  uname?: string;
  gname?: string;
  devmajor?: string;
  devminor?: string;
  prefix?: string | Buffer;
}

const places = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  flag: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  uname: [265, 32],
  gname: [297, 32],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 155],
} as const;

const usual = {
  mode: "000644 \0",
  uid: "000000 \0",
  gid: "000000 \0",
  mtime: "00000000000 ",
  flag: "0",
  magic: "ustar\x0000",
  devmajor: "000000 \0",
  devminor: "000000 \0",
};

/** A block of 512 bytes with the right checksum, unless that is given too. */
export function rawHeader({ checksum, ...fields }: RawHeader): Buffer {
  const block = Buffer.alloc(512);
  const given: RawHeader = { ...usual, size: octal(0), ...fields };
  for (const [field, [start, length]] of Object.entries(places)) {
    const bytes = Buffer.from(given[field as keyof typeof places] ?? "");
    if (bytes.length > length) throw new Error(`${field} has no room for ${bytes.length} bytes`);
    bytes.copy(block, start);
  }
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  if (checksum !== undefined) Buffer.from(checksum).copy(block, 148);
  return block;
}

/** A header, the content and zeros up to the next block; the size is the content's unless given. */
export function rawEntry(header: RawHeader, content: string | Buffer = ""): Buffer {
  const bytes = Buffer.from(content);
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
  return Buffer.concat([rawHeader({ size: octal(bytes.length), ...header }), bytes, padding]);
}

export function octal(size: number): string {
  return `${size.toString(8).padStart(11, "0")} `;
}

/** A number as GNU tar writes those that octal digits cannot hold. */
export function binary(value: bigint, length = 12): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = length - 1, rest = value; at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
  bytes[0] = value < 0n ? 0xff : 0x80;
  return bytes;
}

/** A pax header before an entry, `g` for a global one, with records whose lengths are right. */
export function paxEntry(records: Record<string, string>, flag: "x" | "g" = "x"): Buffer {
  const lines = Object.entries(records).map(([key, value]) => paxRecord(key, value));
  return rawEntry({ name: "PaxHeader/a.py", flag }, Buffer.concat(lines));
}

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}
