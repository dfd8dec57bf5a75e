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

const token = /\n|[ \t\r]+|#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|[;{}]|(?:\$\{[^}]*\}|\\.|[^\s;{}"'\\])+/gs;

/** Parses the directives of one file. nginx has tested it already, so nothing is checked here. */
export function parseNginx(text: string, file: string): Directive[] {
  const builder = new TreeBuilder(file);
  let line = 1;
  for (const match of text.matchAll(token)) {
    const [found] = match;
    builder.take(found, match[1] ?? match[2] ?? found, line);
    line += found.split("\n").length - 1;
  }
  return builder.directives;
}

/** Makes directives of tokens. */
class TreeBuilder {
  readonly directives: Directive[] = [];
  readonly #file: string;
  /** The blocks around the next directive, the innermost last. */
  readonly #blocks: Directive[][] = [this.directives];
  /** The words of a directive that has not ended yet, and the line where it began. */
  #words: string[] = [];
  #start = 1;
  /** How deep in a block of Lua of OpenResty. Such a block holds no directives; only its braces count. */
  #lua = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** @param word the token without its quotes */
  take(found: string, word: string, line: number): void {
    if (this.#lua > 0) this.#takeLua(found);
    else if (found === "{") this.#open();
    else if (found === ";") this.#end();
    else if (found === "}") this.#close();
    else if (!/^[\s#]/.test(found)) this.#takeWord(word, line);
  }

  #takeLua(found: string): void {
    if (found === "{") this.#lua++;
    if (found === "}") this.#lua--;
  }

  #takeWord(word: string, line: number): void {
    if (this.#words.length === 0) this.#start = line;
    this.#words.push(word);
  }

  #open(): void {
    const directive = this.#end();
    if (directive.name.endsWith("_by_lua_block")) {
      this.#lua = 1;
      return;
    }
    directive.block = [];
    this.#blocks.push(directive.block);
  }

  #end(): Directive {
    const [name = "", ...args] = this.#words;
    const directive: Directive = { name, args, file: this.#file, line: this.#start };
    this.#blocks.at(-1)?.push(directive);
    this.#words = [];
    return directive;
  }

  #close(): void {
    if (this.#blocks.length > 1) this.#blocks.pop();
    this.#words = [];
  }
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
