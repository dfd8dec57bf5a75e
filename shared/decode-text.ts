/**
 * The text of a file that may be in any encoding that Python's tools read: by its byte order mark, or by a comment such as
 * `# -*- coding: gbk -*-` in one of its first two lines (PEP 263), otherwise UTF-8. Bytes that the encoding does not have
 * become U+FFFD. An encoding that is not known here counts as UTF-8.
 */
export function decodeText(bytes: Uint8Array): string {
  for (const { mark, decode } of marks) {
    if (mark.every((byte, index) => bytes[index] === byte)) return decode(bytes.subarray(mark.length));
  }
  // Most files have no such comment, and need no second look.
  const named = declaredEncoding(bytes);
  return named === undefined ? utf8(bytes) : (decoderOf(named)?.decode(bytes) ?? utf8(bytes));
}

interface Mark {
  mark: number[];
  decode(bytes: Uint8Array): string;
}

const decoding = (label: string) => (bytes: Uint8Array) => new TextDecoder(label).decode(bytes);
const utf8 = decoding("utf-8");

/** In the order in which pip tries them: the mark of UTF-32 begins with that of UTF-16. */
const marks: Mark[] = [
  { mark: [0xef, 0xbb, 0xbf], decode: utf8 },
  { mark: [0xff, 0xfe, 0x00, 0x00], decode: (bytes) => utf32(bytes, true) },
  { mark: [0x00, 0x00, 0xfe, 0xff], decode: (bytes) => utf32(bytes, false) },
  { mark: [0xff, 0xfe], decode: decoding("utf-16le") },
  { mark: [0xfe, 0xff], decode: decoding("utf-16be") },
];

/** No decoder of the platform knows UTF-32. */
function utf32(bytes: Uint8Array, littleEndian: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const points: string[] = [];
  for (let at = 0; at + 4 <= bytes.byteLength; at += 4) {
    const point = view.getUint32(at, littleEndian);
    points.push(point > 0x10ffff ? "\ufffd" : String.fromCodePoint(point));
  }
  return points.join("");
}

/** How far two lines with such a comment can reach. */
const declarationBytes = 512;

function declaredEncoding(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.subarray(0, declarationBytes)).toString("latin1");
  const lines = start.split(/\r\n|\n|\r/, 2).filter((line) => /^[ \t\f]*#/.test(line));
  return lines.map((line) => /coding[:=]\s*([-\w.]+)/.exec(line)?.[1]).find((name) => name !== undefined);
}

/** Python writes `latin-1`, `utf_8` and `cp1252` where the platform's decoders have other names. */
function decoderOf(python: string): InstanceType<typeof TextDecoder> | undefined {
  const name = python.toLowerCase().replaceAll("_", "-");
  for (const label of [names[name], name, name.replaceAll("-", "")]) {
    if (label === undefined) continue;
    try {
      return new TextDecoder(label);
    } catch {
      // Not a name that it knows.
    }
  }
  return undefined;
}

const names: Record<string, string> = {
  "latin-1": "latin1",
  cp936: "gbk",
  cp932: "shift_jis",
  cp949: "euc-kr",
  cp950: "big5",
};
