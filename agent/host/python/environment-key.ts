import { createHash } from "node:crypto";
import { posix } from "node:path";
import { decodeText } from "../../../shared/decode-text.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { comparePaths, type Manifest } from "../../../shared/manifest.ts";
import { safeRead } from "../store/safe-read.ts";
import type { Interpreter } from "./interpreter.ts";
import { type Wheel, wheelsOf } from "./wheels.ts";

/** The limit of a requirements file in bytes: enough for the hashes of hundreds of packages. */
const largestRequirements = 16 * 1024 * 1024;

/** What is installed in an environment: the bundle's wheels, the repository's requirements from an index, or nothing. */
export type EnvironmentContent =
  | { mode: "vendor"; wheels: Wheel[] }
  | {
      mode: "index";
      requirements: string | undefined;
      extra: string[];
      digests: string[];
      /** Whether it may install the project itself. */
      local: boolean;
    }
  | { mode: "none" };

/** @param app the path of the release's directory `app` @throws CutoverError environment_failed, internal */
export function environmentContent(manifest: Manifest, app: string): EnvironmentContent {
  const { wheels: mode, requirements: file, extra = [] } = manifest.config.python;
  if (mode === "none") return { mode };
  if (mode === "index") {
    const first = posix.normalize(file);
    if (first === ".." || first.startsWith("../")) throw outside(file);
    const { digests, local } = requirementDigests(manifest, app, first);
    // The extra packages may be all that there is.
    const requirements = digests.length === 0 && extra.length > 0 ? undefined : file;
    return { mode, requirements, extra, digests, local };
  }
  const wheels = wheelsOf(manifest);
  return wheels.length === 0 ? { mode: "none" } : { mode: "vendor", wheels };
}

/** The key of an environment: 16 hex digits. Releases with the same key share the environment. */
export function environmentKey(
  { real, version }: Interpreter,
  systemSitePackages: boolean,
  content: EnvironmentContent,
): string {
  const parts = [real, version, systemSitePackages, content.mode, ...contentParts(content)];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function contentParts(content: EnvironmentContent): string[] {
  switch (content.mode) {
    case "vendor":
      return content.wheels.flatMap(({ file, sha256 }) => [file, sha256]);
    case "index":
      return [content.requirements ?? "", ...content.extra, ...content.digests];
    case "none":
      return [];
  }
}

/**
 * The digests of a requirements file and of all that it includes, and of the files in the directories that it names. The
 * release's id stands for what may change without a sign here: a branch of a repository, and what is installed as editable,
 * which leads into the release itself.
 */
function requirementDigests(manifest: Manifest, app: string, first: string): { digests: string[]; local: boolean } {
  const known = new Map(manifest.files.map(({ path, sha256 }) => [path, sha256]));
  const digests = new Map<string, string>();
  const queue = [first];
  const directories = new DirectoryDigests(manifest);
  let local = false;
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    const digest = known.get(`app/${file}`);
    if (digest === undefined || digests.has(file)) continue;
    digests.set(file, digest);
    for (const line of decodeText(safeRead(app, file, largestRequirements)).split(/\r?\n/)) {
      const included = includedFile(line);
      if (included !== undefined) queue.push(posix.join(posix.dirname(file), included));
      const other = localDigest(directories, line);
      if (other !== undefined) digests.set(line, other);
      local ||= other !== undefined && namesProject.test(line);
    }
  }
  return { digests: [...digests].sort().flat(), local };
}

/** Editable, or from a repository without a commit. A line may be as long as the file. */
function movesOn(line: string): boolean {
  const text = line.trimStart();
  if (text.startsWith("#")) return false;
  return /^(?:-e\b|--editable\b)/.test(text) || text.split(/\s/).some(isBranch);
}

/** What comes after the last scheme is part of what comes after each other one. */
function isBranch(word: string): boolean {
  const last = [...word.matchAll(/\b(?:git|hg|svn|bzr)\+/g)].at(-1);
  return last !== undefined && !/@[0-9a-f]{40}(?![0-9a-f])/.test(word.slice(last.index));
}

/** A directory of the project, as editable or not. */
const namesProject = /^\s*(?:-e\b|--editable\b|\.|[^\s:]*\/)|file:/;

function includedFile(line: string): string | undefined {
  return /^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)/.exec(line)?.[1];
}

/** For a line that names more than a package of an index; undefined for others. */
function localDigest(directories: DirectoryDigests, line: string): string | undefined {
  if (includedFile(line) !== undefined) return undefined;
  if (movesOn(line)) return directories.release;
  if (!/^\s*(?!#)(?:\.|\S*\/)|file:/.test(line)) return undefined;
  return directories.of(line) ?? directories.release;
}

/** A file may name millions of directories, and a release may have as many files as a manifest: each is found by a search. */
class DirectoryDigests {
  readonly release: string;
  readonly #files: Manifest["files"];
  #sorted: Manifest["files"] | undefined;
  readonly #known = new Map<string, string | undefined>();

  constructor({ release, files }: Pick<Manifest, "release" | "files">) {
    this.release = release;
    this.#files = files;
  }

  /** Over the files of the directory of the project that a line names; undefined if the bundle has none there. */
  of(line: string): string | undefined {
    const [, given = ""] = /^\s*([^\s;#[]+)/.exec(line) ?? [];
    const place = posix.normalize(posix.join("app", given)).replace(/\/$/, "");
    if (place !== "app" && !place.startsWith("app/")) return undefined;
    if (!this.#known.has(place)) this.#known.set(place, this.#digest(`${place}/`));
    return this.#known.get(place);
  }

  #digest(prefix: string): string | undefined {
    this.#sorted ??= this.#files.toSorted((a, b) => comparePaths(a.path, b.path));
    const hash = createHash("sha256");
    let found = 0;
    for (let at = firstFrom(this.#sorted, prefix); this.#sorted[at]?.path.startsWith(prefix); at++) {
      const { path, mode, sha256 } = this.#sorted[at] as Manifest["files"][number];
      hash.update(`${found++ === 0 ? "" : "\n"}${path} ${mode} ${sha256}`);
    }
    return found === 0 ? undefined : hash.digest("hex");
  }
}

/** The index of the first of these sorted files that does not come before a path. */
function firstFrom(files: Manifest["files"], path: string): number {
  let [first, end] = [0, files.length];
  while (first < end) {
    const middle = (first + end) >> 1;
    if (comparePaths(files[middle]?.path ?? "", path) < 0) first = middle + 1;
    else end = middle;
  }
  return first;
}

/** The Action packs what lies above a project as a file of it: nothing else of the host is a requirements file. */
function outside(file: string): CutoverError {
  return new CutoverError("environment_failed", `${file} lies outside of the project, so the host does not read it.`, {
    unchanged: "The live release goes on serving.",
    fix: "Pack the bundle with the Action, which puts the file into it.",
  });
}
