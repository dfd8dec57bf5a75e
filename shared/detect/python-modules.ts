import type { ProjectFiles } from "../project-clues.ts";
import { type Framework, madeBy } from "./frameworks.ts";
import type { PythonFunction, PythonModule, PythonScan, PythonValue } from "./python-scan.ts";

/** What a name in a module is, as far as it has to do with applications. */
export interface Meaning {
  framework: Framework;
  /** It is a function that makes the application. */
  factory?: PythonFunction;
}

/** Where a module lies. */
export interface Located {
  file: string;
  /** The folder that must be on Python's path: empty for the project's top. */
  path: string;
}

const empty: PythonScan = { modules: {}, skipped: [], complete: true };
/** A chain of names longer than this is a circle, or nobody's. */
const longest = 8;
/** So many assignments are compared, and names followed, in all: who wrote the files may want that it never ends. */
const most = 20_000_000;
const perName = 50;

/** What takes an application and is none. */
const extensions =
  /(?:^|\.)(?:\w*(?:Group|Manager|Client|Extension|Toolbar|Instrumentator|Instrumentor)|Migrate|SQLAlchemy|MongoEngine|PyMongo|SocketIO|Sock|Api|CORS|Bcrypt|Babel|Bootstrap\d?|Mail|Admin|Limiter|Cache|Moment|CSRFProtect|Celery|JWT|Compress|Talisman|Session|Marshmallow|OAuth|Swagger|FlaskRedis|(?:HTTP|WSGI)?Server|Config|Mangum|\w*LambdaHandler|\w*Metrics)$/;

/** What makes a new application of another one, as middleware does. */
const wrappers =
  /Middleware$|(?:^|\.)(?:WhiteNoise|ProxyFix|ReverseProxied|DispatcherMiddleware|TransLogger|Cascade|ASGIApp|WSGIApp)$/;

/** The modules of a project, and what their names mean: names are followed from module to module. */
export class PythonModules {
  readonly scan: PythonScan;
  readonly #files: ProjectFiles;
  #left = most;
  readonly #byName = new Map<string, [file: string, module: PythonModule]>();
  #inner: ReadonlySet<string> | undefined;

  constructor(files: ProjectFiles) {
    this.#files = files;
    this.scan = files.python?.() ?? empty;
    for (const [file, module] of Object.entries(this.scan.modules)) {
      // As Python has it, a package comes before a module of its name.
      if (!this.#byName.has(module.module) || file.endsWith("/__init__.py"))
        this.#byName.set(module.module, [file, module]);
    }
  }

  /** The file of a module, below one of these folders, or below any folder at the top that is no package. */
  locate(module: string, folders: string[] = []): Located | undefined {
    const stem = module.replaceAll(".", "/");
    const candidates = [...new Set([...folders, "", "src", ...this.#loose()])];
    for (const path of candidates) {
      const base = path === "" ? stem : `${path}/${stem}`;
      const file = [`${base}/__init__.py`, `${base}.py`].find((each) => this.#files.exists(each));
      if (file !== undefined) return { file, path };
    }
    return undefined;
  }

  /** Folders at the top that are no packages: a script in one of them has the folder itself on its path. */
  #loose(): string[] {
    return this.#files.folders().filter((name) => !name.startsWith(".") && !this.#files.exists(`${name}/__init__.py`));
  }

  /** The file of a module that was read, by its name. */
  fileOf(module: string): string | undefined {
    return this.#byName.get(module)?.[0];
  }

  module(file: string): PythonModule | undefined {
    return this.scan.modules[file];
  }

  /** Whether a file has, or may have, this name: a star import or `__getattr__` can supply any. */
  has(file: string, name: string): boolean {
    const text = this.#files.read(file) ?? "";
    const literal = name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    return new RegExp(`(?<!\\w)${literal}(?!\\w)|import \\*|def __getattr__`).test(text);
  }

  /** Whether another application contains this one: it is mounted in it, or wrapped by it. */
  isInner(file: string, name: string): boolean {
    this.#inner ??= new Set(
      Object.entries(this.scan.modules).flatMap(([path, module]) => this.#contained(path, module)),
    );
    const module = this.scan.modules[file];
    const own = module === undefined || module.module === "" ? name : `${module.module}.${name}`;
    return this.#inner.has(own) || this.#inner.has(module?.imports[name] ?? "");
  }

  #contained(file: string, { wraps }: PythonModule): string[] {
    const isWrapper = (by: string) => by === "mount" || wrappers.test(by) || this.#ofClass(file, by) !== undefined;
    return wraps.filter(({ by }) => isWrapper(by)).flatMap(({ names }) => names);
  }

  /** What `name` in a file is; undefined if its text does not show it. */
  meaning(file: string, name: string, depth = 0): Meaning | undefined {
    const module = this.scan.modules[file];
    if (module === undefined || depth > longest || this.#left < 0) return undefined;
    this.#left -= perName + module.assigned.length;
    const made = module.functions.find((each) => each.name === name);
    if (made !== undefined) return this.#ofFunction(file, made, depth);
    // The last assignment counts, such as `app = ProxyFix(app)`; if that says nothing, the one before.
    for (const { value } of module.assigned.filter((each) => each.name === name).toReversed()) {
      const framework = this.framework(file, value, depth + 1);
      if (framework !== undefined) return { framework };
    }
    const imported = module.imports[name];
    if (imported !== undefined) return this.#elsewhere(file, imported, depth + 1);
    for (const star of module.star) {
      const found = this.#elsewhere(file, `${star}.${name}`, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The framework of what an expression of this file makes. */
  framework(file: string, value: PythonValue, depth = 0): Framework | undefined {
    if (depth > longest) return undefined;
    if (value.name != null) {
      const found = this.#plain(this.#named(file, value.name, depth));
      const [, owner] = /^(.*)\.(?:server|wsgi_app|asgi_app|app)$/.exec(value.name) ?? [];
      if (found !== undefined || owner === undefined) return found;
      // Dash's `app.server` is its Flask.
      const wrapped = this.#plain(this.#named(file, owner, depth));
      return wrapped?.name === "Dash" ? madeBy("flask.Flask") : wrapped;
    }
    if (value.call == null) return undefined;
    const direct = madeBy(value.call) ?? madeBy(value.call.replace(/^.*\.(?=make_wsgi_app$|wsgifunc$)/, "?."));
    if (direct !== undefined && direct.name !== "WSGI") return direct;
    const inner = this.#named(file, value.call, depth);
    if (inner?.factory !== undefined) return inner.framework;
    // Something that wraps another one, such as `ProxyFix(app)`.
    if (extensions.test(value.call)) return undefined;
    const wrapped = value.args?.flatMap((arg) => (arg == null ? [] : (this.framework(file, arg, depth + 1) ?? [])))[0];
    return wrapped ?? direct ?? this.#ofClass(file, value.call);
  }

  #plain(meaning: Meaning | undefined): Framework | undefined {
    return meaning?.factory === undefined || meaning.factory.gateway !== null ? meaning?.framework : undefined;
  }

  #ofFunction(file: string, made: PythonFunction, depth: number): Meaning | undefined {
    if (made.gateway !== null) {
      const framework = madeBy(made.gateway);
      return framework && { framework };
    }
    for (const value of made.returns) {
      const framework = this.framework(file, value, depth + 1);
      if (framework !== undefined) return { framework, factory: made };
    }
    return undefined;
  }

  #ofClass(file: string, call: string): Framework | undefined {
    const name = call.slice(call.lastIndexOf(".") + 1);
    const owner = this.#byName.get(call.slice(0, Math.max(0, call.lastIndexOf("."))))?.[1] ?? this.scan.modules[file];
    const found = owner?.classes[name];
    if (found === undefined) return undefined;
    const base = found.bases.map(madeBy).find((each) => each !== undefined);
    return base ?? (found.gateway === null ? undefined : madeBy(found.gateway));
  }

  /** A dotted name as this file sees it: its own, or one of another module. */
  #named(file: string, name: string, depth: number): Meaning | undefined {
    const own = this.scan.modules[file]?.module ?? "";
    const prefix = own === "" ? "" : `${own}.`;
    if (name.startsWith(prefix) && !name.slice(prefix.length).includes(".")) {
      return this.meaning(file, name.slice(prefix.length), depth + 1);
    }
    return this.#elsewhere(file, name, depth + 1);
  }

  #elsewhere(from: string, dotted: string, depth: number): Meaning | undefined {
    const cut = dotted.lastIndexOf(".");
    const [module, name] = [dotted.slice(0, Math.max(0, cut)), dotted.slice(cut + 1)];
    const direct = madeBy(dotted);
    const [file] = this.#byName.get(module) ?? this.#neighbour(from, module) ?? [];
    if (file !== undefined) return this.meaning(file, name, depth);
    return direct === undefined ? undefined : { framework: direct };
  }

  /** A script imports what lies next to it, also if its folder is no package. */
  #neighbour(from: string, module: string): [string, PythonModule] | undefined {
    const folder = from.includes("/") ? from.slice(0, from.lastIndexOf("/") + 1) : "";
    const stem = `${folder}${module.replaceAll(".", "/")}`;
    for (const file of [`${stem}/__init__.py`, `${stem}.py`]) {
      const found = this.scan.modules[file];
      if (found !== undefined) return [file, found];
    }
    return undefined;
  }
}
