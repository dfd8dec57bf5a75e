import { dirname, join, resolve } from "node:path";
import { matchesGlob } from "./globs.ts";

/** supervisord.conf: sections and their options. The names of options are in lower case. */
export type Ini = Map<string, Map<string, string>>;

/** In bytes: far more than such a file has. Any user's process may call itself supervisord, and name a file of its own. */
export const longestConf = 256 * 1024;
/** As long as the kernel takes a path. */
const longestPath = 4096;

/** In a time that grows with the text, whatever stands in it. */
export function parseIni(text: string): Ini {
  const sections = new Map<string, Map<string, string[]>>();
  let options: Map<string, string[]> | undefined;
  let last: string[] | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:[;#]|$)/.test(line)) continue;
    const head = /^\[([^\]]+)\]/.exec(line)?.[1];
    if (head !== undefined) {
      options = sections.get(head) ?? new Map();
      sections.set(head, options);
      last = undefined;
      continue;
    }
    const content = withoutComment(line);
    const at = content.search(/[=:]/);
    if (/^\s/.test(line) && last !== undefined) last.push(content.trim());
    else if (at > 0 && !/^\s/.test(line)) {
      last = [content.slice(at + 1).trim()];
      options?.set(content.slice(0, at).trimEnd().toLowerCase(), last);
    }
  }
  return new Map([...sections].map(([name, all]) => [name, new Map([...all].map(joined))]));
}

function joined([name, lines]: [string, string[]]): [string, string] {
  return [name, lines.join("\n").trim()];
}

/** A semicolon after whitespace begins a comment. */
function withoutComment(line: string): string {
  const at = line.search(/\s;/);
  return at === -1 ? line : line.slice(0, at);
}

/** Whether supervisord reads the files that cutover writes into this directory. */
export function includesDirectory({ path, ini }: { path: string; ini: Ini }, confDir: string): boolean {
  const patterns = ini.get("include")?.get("files")?.split(/\s+/).filter(Boolean) ?? [];
  return patterns.some((pattern) => matchesGlob(expanded(pattern, path), join(confDir, "cutover-app.conf")));
}

/** Resolves a path in supervisord.conf as supervisord does. */
export function expanded(value: string, conf: string): string {
  // It would grow with each word that is replaced.
  if (value.length > longestPath) return value;
  return resolve(dirname(conf), value.replaceAll("%(here)s", dirname(conf)));
}
