/** Whether a glob of nginx or supervisor matches a path: * and ? do not match a slash. */
export function matchesGlob(pattern: string, path: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  try {
    return new RegExp(`^${source}$`).test(path);
  } catch {
    // A bracket that is not closed.
    return pattern === path;
  }
}
