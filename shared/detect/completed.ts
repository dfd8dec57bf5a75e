import type { Application } from "./applications.ts";
import type { Candidate } from "./findings.ts";
import type { Sources } from "./looked-at.ts";
import { reachedFrom, scriptsThrough } from "./own-command.ts";
import { ofApplication } from "./resolve.ts";

/** Where another file adds its routes to an application: a server that imports the application alone misses them. */
interface Completion {
  file: string;
  line: number;
  /** The application's name there, if it is made at the top of that file. */
  name?: string;
}

const adds = /^([ \t]*)(\w+)\.(?:register_blueprint|include_router|add_url_rule|add_routes|mount)\(/;

/** The candidates of an application, as far as it is whole where it is made. */
export function ofWhole(application: Application, sources: Sources): Candidate[] {
  const by = completionOf(application, sources);
  if (by === undefined) return ofApplication(application, sources);
  const { file, line } = by;
  const name = by.name ?? factoryIn(file, sources);
  if (name !== undefined) {
    const module = sources.modules.module(file)?.module ?? "";
    return ofApplication({ ...application, app: `${module}:${name}`, file, line }, sources, `${file} completes it`);
  }
  const scripts = scriptsThrough(file, sources);
  if (scripts.length > 0) return scripts;
  const caution = `${file}:${line} adds to it what a server that imports it alone would miss: make the whole application in one place, or start the project's own program with --kind command`;
  return ofApplication(application, sources).map((each) => ({ caution, ...each }));
}

/** A function there that makes and returns the whole. */
function factoryIn(file: string, { modules }: Sources): string | undefined {
  const made = modules.module(file)?.functions.find(({ name, required }) => {
    const isOwn = required.length === 0 && !name.startsWith("_") && !notLive.test(name);
    return isOwn && modules.meaning(file, name)?.factory !== undefined;
  });
  return made && `${made.name}()`;
}

const notLive = /test|dev|debug|mock|fake|local|seed|migrat|shell/i;

/** Another file that gets the application, or has it made, and adds to it; files of tests and of tools do not count. */
function completionOf({ file, app }: Application, sources: Sources): Completion | undefined {
  const { modules, files } = sources;
  const own = modules.module(file);
  if (own === undefined) return undefined;
  const name = app.slice(app.indexOf(":") + 1).replace(/\(.*$/, "");
  const made = new Set([name, ...own.functions.map((each) => each.name)].map((each) => `${own.module}.${each}`));
  const found = Object.entries(modules.scan.modules).flatMap(([other, { imports }]) => {
    const locals = Object.entries(imports).flatMap(([local, from]) => (made.has(from) ? [local] : []));
    const isLive = other !== file && locals.length > 0 && !notLive.test(other);
    return isLive ? (addition(other, files.read(other) ?? "", locals) ?? []) : [];
  });
  if (found.length === 0) return undefined;
  // What the application's own file imports, wherever that stands, has added to it by then.
  const inside = reachedFrom(file, sources, true);
  return found.find((each) => !inside.includes(each.file));
}

function addition(file: string, text: string, locals: string[]): Completion | undefined {
  const known = new Set(locals);
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [, assigned = "", call = ""] = /^[ \t]*(\w+)[ \t]*=[ \t]*(\w+)\(/.exec(line) ?? [];
    if (known.has(call) && call !== assigned) known.add(assigned);
    const [, indent, name = ""] = adds.exec(line) ?? [];
    if (!known.has(name) || name === "") continue;
    const place = { file, line: index + 1 };
    if (indent === "") return { ...place, name };
    // In a function that gets it as an argument it is another's.
    if (!locals.includes(name)) return place;
  }
  return undefined;
}
