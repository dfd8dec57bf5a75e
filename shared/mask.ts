/** Puts `***` in the place of what nobody may read. */
export type Mask = (text: string) => string;

/** Shorter values are words that stand everywhere, and whoever has one knows little. */
const shortest = 6;

/** Takes name and password out of addresses, as pip and git print them. A name alone may be a token. */
export const maskUrls: Mask = (text) => text.replace(/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@'"]+@/gi, "$1***@");

/**
 * Takes values of secrets out, and of those with several lines each line; as they are, and as JSON, Python's repr and
 * URLs write them.
 */
export function maskValues(values: Iterable<string>): Mask {
  const lines = [...values]
    .flatMap((value) => [value, ...value.split(/\r?\n/)])
    .filter(({ length }) => length >= shortest);
  const forms = new Set(
    lines.flatMap((line) => [line, JSON.stringify(line).slice(1, -1), ...reprs(line), encoded(line)]),
  );
  // A value that holds another one goes first, so that nothing of it is left.
  const sorted = [...forms].toSorted((a, b) => b.length - a.length);
  return (text) => sorted.reduce((masked, form) => masked.replaceAll(form, "***"), text);
}

/** Python escapes the one kind of quote that it puts around, if any. */
function reprs(line: string): string[] {
  const escaped = line.replaceAll("\\", "\\\\");
  return [escaped, escaped.replaceAll("'", "\\'")];
}

function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : text;
}
