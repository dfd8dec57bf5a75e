/**
 * Whether a glob of nginx or supervisor matches a path: * and ? do not match a slash. Any user may have written the glob, so the
 * time is at most the length of the one times that of the other: a regular expression with many stars would take for ever.
 */
export function matchesGlob(pattern: string, path: string): boolean {
  const [wanted, names] = [pattern.split("/"), path.split("/")];
  return wanted.length === names.length && names.every((name, index) => matchesName(wanted[index] ?? "", name));
}

/** A part of a glob: any characters, or one, of these or of all others. */
type Part = "any" | { chars: string; ranges: [from: string, to: string][]; others: boolean };

function matchesName(pattern: string, name: string): boolean {
  const parts = partsOf(pattern);
  let [at, part] = [0, 0];
  // Where the latest star is tried again with one character more: earlier stars need no other try.
  let again: { at: number; part: number } | undefined;
  while (at < name.length) {
    const wanted = parts[part];
    if (wanted === "any") {
      again = { at, part };
      part++;
    } else if (wanted !== undefined && has(wanted, name.charAt(at))) {
      at++;
      part++;
    } else if (again !== undefined) {
      again.at++;
      [at, part] = [again.at, again.part + 1];
    } else return false;
  }
  return parts.slice(part).every((left) => left === "any");
}

function has({ chars, ranges, others }: Exclude<Part, "any">, char: string): boolean {
  return (chars.includes(char) || ranges.some(([from, to]) => from <= char && char <= to)) !== others;
}

const none: Exclude<Part, "any"> = { chars: "", ranges: [], others: false };

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    // A bracket right after the first belongs to the list; one that is not closed stands for itself.
    const end = char === "[" ? pattern.indexOf("]", at + (/[!^]/.test(pattern.charAt(at + 1)) ? 3 : 2)) : -1;
    if (char === "*") parts.push("any");
    else if (char === "?") parts.push({ ...none, others: true });
    else if (end === -1) parts.push({ ...none, chars: char });
    else {
      parts.push(listOf(pattern.slice(at + 1, end)));
      at = end;
    }
  }
  return parts;
}

function listOf(text: string): Part {
  const others = /^[!^]/.test(text);
  const list = others ? text.slice(1) : text;
  const ranges = [...list.matchAll(/(.)-(.)/gs)].map(([, from = "", to = ""]): [string, string] => [from, to]);
  return { chars: list.replaceAll(/.-./gs, ""), ranges, others };
}
