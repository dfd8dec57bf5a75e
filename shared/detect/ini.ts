export interface IniSection {
  name: string;
  line: number;
  /** The last of a key counts. */
  values: Map<string, string>;
}

/**
 * Reads the files of supervisor, systemd and uWSGI: sections of keys, comments in lines of their own or after a blank, and
 * values that go on in lines that are indented or after a backslash.
 */
export function readIni(text: string): IniSection[] {
  const sections: IniSection[] = [];
  let last: string | undefined;
  let depth = 0;
  for (const [index, line] of text
    .replace(/\\\r?\n/g, "  ")
    .split(/\r?\n/)
    .entries()) {
    const name = /^\s*\[([^\]]+)\]\s*(?:[;#].*)?$/.exec(line)?.[1];
    if (name !== undefined) {
      sections.push({ name: name.trim(), line: index + 1, values: new Map() });
      last = undefined;
      continue;
    }
    const section = sections.at(-1);
    if (section === undefined || /^\s*(?:[;#]|$)/.test(line)) continue;
    const { key, value, indent } = entryOf(line);
    // A value such as `shop.app:create_app()` looks like a key, but stands deeper than its own.
    if (last !== undefined && indent > (key === undefined ? 0 : depth))
      section.values.set(last, `${section.values.get(last) ?? ""} ${line.trim()}`.trim());
    else if (key !== undefined) {
      last = key;
      depth = indent;
      section.values.set(key, value);
    }
  }
  return sections;
}

function entryOf(line: string): { key: string | undefined; value: string; indent: number } {
  const comment = line.search(/\s[;#]/);
  const plain = (comment === -1 ? line : line.slice(0, comment)).trimStart();
  const [, key, value = ""] = /^([A-Za-z][\w.-]*)\s*[=:](.*)$/s.exec(plain) ?? [];
  return { key, value: value.trim(), indent: line.search(/\S/) };
}
