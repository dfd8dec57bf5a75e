/** In bytes: from here on the list of files is much of the agent's memory. */
const large = 2 * 1024 * 1024;

/**
 * Collects garbage before a large manifest is read, and once more when it may have been dropped. By itself the collector would
 * let several of them add up, and it keeps what it has until there is more to do. It needs some 50 ms; reading such a
 * manifest needs several times as long. Without `--expose-gc` nothing happens.
 */
export function collectAround(size: number): void {
  if (size < large || globalThis.gc === undefined) return;
  void globalThis.gc();
  setTimeout(() => void globalThis.gc?.(), 1000).unref();
}
