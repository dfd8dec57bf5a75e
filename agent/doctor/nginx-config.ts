import { dirname, isAbsolute, join } from "node:path";
import { matchesGlob } from "./globs.ts";

/** One directive of nginx's configuration, with the place where it stands. */
export interface Directive {
  name: string;
  args: string[];
  file: string;
  line: number;
  block?: Directive[];
}

/** What `nginx -T` printed, as one tree: an include is followed by what it includes. */
export function parseNginxDump(dump: string): { main: string | undefined; directives: Directive[] } {
  const parts = dump.split(/^# configuration file (.+):\n/m);
  const files = new Map<string, string>();
  for (let index = 1; index < parts.length; index += 2) files.set(parts[index] ?? "", parts[index + 1] ?? "");
  const [main] = files.keys();
  if (main === undefined) return { main, directives: [] };
  const open = (directives: Directive[], depth: number): Directive[] =>
    directives.flatMap((directive) => {
      const inner = directive.block === undefined ? directive : { ...directive, block: open(directive.block, depth) };
      if (directive.name !== "include" || depth > 20) return [inner];
      const pattern = includePath(main, directive.args[0] ?? "");
      const included = [...files].filter(([path]) => path !== directive.file && matchesGlob(pattern, path));
      return [inner, ...included.flatMap(([path, text]) => open(parseNginx(text, path), depth + 1))];
    });
  return { main, directives: open(parseNginx(files.get(main) ?? "", main), 0) };
}

/** Relative paths start at the main configuration's directory. */
export function includePath(main: string, pattern: string): string {
  return isAbsolute(pattern) ? pattern : join(dirname(main), pattern);
}

/** The directives of one file. What nginx has tested well needs no check. */
export function parseNginx(text: string, file: string): Directive[] {
  const stack: Directive[][] = [[]];
  let words: string[] = [];
  let line = 1;
  let start = 1;
  /** OpenResty's blocks of Lua hold no directives: only their braces count. */
  let lua = 0;
  const token = /\n|[ \t\r]+|#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|[;{}]|(?:\$\{[^}]*\}|\\.|[^\s;{}"'\\])+/gs;
  for (const match of text.matchAll(token)) {
    const [found] = match;
    const newlines = found.split("\n").length - 1;
    if (lua > 0) {
      if (found === "{") lua++;
      if (found === "}") lua--;
    } else if (found === "{" && words[0]?.endsWith("_by_lua_block")) {
      stack.at(-1)?.push({ name: words[0], args: words.slice(1), file, line: start });
      words = [];
      lua = 1;
    } else if (found === ";" || found === "{") {
      const [name = "", ...args] = words;
      const directive: Directive = { name, args, file, line: start };
      stack.at(-1)?.push(directive);
      if (found === "{") {
        directive.block = [];
        stack.push(directive.block);
      }
      words = [];
    } else if (found === "}") {
      if (stack.length > 1) stack.pop();
      words = [];
    } else if (!/^[\s#]/.test(found)) {
      if (words.length === 0) start = line;
      words.push(match[1] ?? match[2] ?? found);
    }
    line += newlines;
  }
  return stack[0] ?? [];
}

/** Directives of a name, at any depth, with the blocks around each. */
export function find(
  directives: Directive[],
  name: string,
  around: string[] = [],
): { directive: Directive; around: string[] }[] {
  return directives.flatMap((directive) => [
    ...(directive.name === name ? [{ directive, around }] : []),
    ...find(directive.block ?? [], name, [...around, directive.name]),
  ]);
}

/** The value of a directive at the top, or in a block there. */
export function settingOf(directives: Directive[], ...names: string[]): string | undefined {
  const [name, ...inner] = names;
  // The last one counts.
  const found = directives.filter((directive) => directive.name === name).at(-1);
  return inner.length === 0 ? found?.args[0] : settingOf(found?.block ?? [], ...inner);
}
