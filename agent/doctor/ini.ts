/** supervisord.conf: sections and their options, names of options in lower case. */
export type Ini = Map<string, Map<string, string>>;

export function parseIni(text: string): Ini {
  const sections: Ini = new Map();
  let options: Map<string, string> | undefined;
  let last: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:[;#]|$)/.test(line)) continue;
    const head = /^\[([^\]]+)\]/.exec(line)?.[1];
    if (head !== undefined) {
      options = sections.get(head) ?? new Map();
      sections.set(head, options);
      last = undefined;
      continue;
    }
    // Behind whitespace a semicolon begins a comment.
    const content = line.replace(/\s;.*$/, "");
    const [, name, value = ""] = /^([^\s=:][^=:]*?)\s*[=:]\s*(.*)$/.exec(content) ?? [];
    if (/^\s/.test(line) && last !== undefined)
      options?.set(last, `${options.get(last) ?? ""}\n${content.trim()}`.trim());
    else if (name !== undefined) {
      last = name.toLowerCase();
      options?.set(last, value.trim());
    }
  }
  return sections;
}
