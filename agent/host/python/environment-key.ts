import { createHash } from "node:crypto";
import { posix } from "node:path";
import { decodeText } from "../../../shared/decode-text.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Manifest } from "../../../shared/manifest.ts";
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
  let local = false;
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    const digest = known.get(`app/${file}`);
    if (digest === undefined || digests.has(file)) continue;
    digests.set(file, digest);
    for (const line of decodeText(safeRead(app, file, largestRequirements)).split(/\r?\n/)) {
      const included = includedFile(line);
      if (included !== undefined) queue.push(posix.join(posix.dirname(file), included));
      const other = localDigest(manifest, line);
      if (other !== undefined) digests.set(line, other);
      local ||= other !== undefined && namesProject.test(line);
    }
  }
  return { digests: [...digests].sort().flat(), local };
}

/** Editable, or from a repository without a commit. */
const movesOn = /^\s*(?!#)(?:-e\b|--editable\b|.*\b(?:git|hg|svn|bzr)\+(?!\S*@[0-9a-f]{40}(?![0-9a-f])))/;

/** A directory of the project, as editable or not. */
const namesProject = /^\s*(?:-e\b|--editable\b|\.|[^\s:]*\/)|file:/;

function includedFile(line: string): string | undefined {
  return /^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)/.exec(line)?.[1];
}

/** For a line that names more than a package of an index; undefined for others. */
function localDigest(manifest: Manifest, line: string): string | undefined {
  if (includedFile(line) !== undefined) return undefined;
  if (movesOn.test(line)) return manifest.release;
  if (!/^\s*(?!#)(?:\.|\S*\/)|file:/.test(line)) return undefined;
  return directoryDigest(manifest, line) ?? manifest.release;
}

/** Over the files of a directory of the project; undefined if the bundle has none there. */
function directoryDigest({ files }: Manifest, line: string): string | undefined {
  const [, given = ""] = /^\s*([^\s;#[]+)/.exec(line) ?? [];
  const place = posix.normalize(posix.join("app", given)).replace(/\/$/, "");
  if (place !== "app" && !place.startsWith("app/")) return undefined;
  const own = files.filter(({ path }) => path.startsWith(`${place}/`));
  if (own.length === 0) return undefined;
  const text = own.map(({ path, mode, sha256 }) => `${path} ${mode} ${sha256}`).join("\n");
  return createHash("sha256").update(text).digest("hex");
}

/** The Action packs what lies above a project as a file of it: nothing else of the host is a requirements file. */
function outside(file: string): CutoverError {
  return new CutoverError("environment_failed", `${file} lies outside of the project, so the host does not read it.`, {
    unchanged: "The live release goes on serving.",
    fix: "Pack the bundle with the Action, which puts the file into it.",
  });
}
