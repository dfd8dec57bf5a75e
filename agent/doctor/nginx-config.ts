import { dirname, isAbsolute, join } from "node:path";
import { matchesGlob } from "./globs.ts";

/** One directive of nginx's configuration, with its place. */
export interface Directive {
  name: string;
  args: string[];
  file: string;
  line: number;
  block?: Directive[];
}

/** Parses the output of `nginx -T` into one tree: after an include come the directives that it includes. */
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

/** A relative path starts at the directory of the main configuration. */
export function includePath(main: string, pattern: string): string {
  return isAbsolute(pattern) ? pattern : join(dirname(main), pattern);
}

/** Parses the directives of one file. nginx has tested it already, so nothing is checked here. */
export function parseNginx(text: string, file: string): Directive[] {
  const stack: Directive[][] = [[]];
  let words: string[] = [];
  let line = 1;
  let start = 1;
  /** How deep in a block of Lua of OpenResty. Such a block holds no directives; only its braces count. */
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

/** Finds all directives of a name, at any depth, with the names of the blocks around each. */
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

/** The first argument of a directive at the top level, or of one in a block there. */
export function settingOf(directives: Directive[], ...names: string[]): string | undefined {
  const [name, ...inner] = names;
  // If there are several, nginx uses the last one.
  const found = directives.filter((directive) => directive.name === name).at(-1);
  return inner.length === 0 ? found?.args[0] : settingOf(found?.block ?? [], ...inner);
}
