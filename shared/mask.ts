/** Replaces with `***` what nobody may read. */
export type Mask = (text: string) => string;

/** Shorter values are ordinary words: they occur everywhere, and hiding them would protect little. */
const shortest = 6;

/** Takes name and password out of addresses, as pip and git print them. A name without a password may be a token. */
export const maskUrls: Mask = (text) => text.replace(/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@'"]+@/gi, "$1***@");

/**
 * Takes the values of secrets out, and each line of a value with several lines: as they are, and as JSON, Python's repr
 * and URLs write them.
 */
export function maskValues(values: Iterable<string>): Mask {
  const lines = [...values]
    .flatMap((value) => [value, ...value.split(/\r?\n/)])
    .filter(({ length }) => length >= shortest);
  const forms = new Set(
    lines.flatMap((line) => [line, JSON.stringify(line).slice(1, -1), ...reprs(line), encoded(line)]),
  );
  // A value that contains another one comes first, so that nothing of it is left.
  const sorted = [...forms].toSorted((a, b) => b.length - a.length);
  return (text) => sorted.reduce((masked, form) => masked.replaceAll(form, "***"), text);
}

/** Python escapes only the kind of quote that it puts around the text. */
function reprs(line: string): string[] {
  const escaped = line.replaceAll("\\", "\\\\");
  return [escaped, escaped.replaceAll("'", "\\'")];
}

function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : text;
}
