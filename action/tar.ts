import { Header, Pax } from "tar";

/** Two empty blocks. */
export const endOfArchive = Buffer.alloc(1024);

const noPadding = Buffer.alloc(0);
const printableAscii = /^[ -~]+$/;

/**
 * The header of a regular file: ustar with fixed time and owner, so that the same file gives the same bytes. A path
 * that ustar cannot hold comes before it in a pax header.
 */
export function entryHeader(path: string, size: number, mode: 0o644 | 0o755): Buffer[] {
  const facts = { path, size, mode, type: "File", uid: 0, gid: 0, mtime: new Date(0) } as const;
  const header = new Header(facts);
  const block = Buffer.alloc(512);
  const needsPax = header.encode(block) || !printableAscii.test(path);
  if (!needsPax) return [block];
  // Its path alone: that is all that the agent takes there.
  return [new Pax({ path }).encode(), block];
}

/** Zeros up to the next block of 512 bytes. */
export function padding(size: number): Buffer {
  const rest = size % 512;
  return rest === 0 ? noPadding : Buffer.alloc(512 - rest);
}
