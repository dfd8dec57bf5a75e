/** The files of a small archive: paths that ustar holds, sizes of eleven digits. */
export function entriesOf(tar: Buffer): { path: string; content: Buffer }[] {
  const entries: { path: string; content: Buffer }[] = [];
  for (let at = 0; tar[at] !== 0; ) {
    const path = tar.toString("utf8", at, tar.indexOf(0, at));
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
    entries.push({ path, content: tar.subarray(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}
