import { dirname, join, resolve } from "node:path";
import { matchesGlob } from "./globs.ts";

/** supervisord.conf: sections and their options. The names of options are in lower case. */
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
    // A semicolon after whitespace begins a comment.
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

/** Whether supervisord reads the files that cutover writes into this directory. */
export function includesDirectory({ path, ini }: { path: string; ini: Ini }, confDir: string): boolean {
  const patterns = ini.get("include")?.get("files")?.split(/\s+/).filter(Boolean) ?? [];
  return patterns.some((pattern) => matchesGlob(expanded(pattern, path), join(confDir, "cutover-app.conf")));
}

/** Resolves a path in supervisord.conf as supervisord does. */
export function expanded(value: string, conf: string): string {
  return resolve(dirname(conf), value.replaceAll("%(here)s", dirname(conf)));
}
