import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { Manifest } from "../../../shared/manifest.ts";
import { safeRead } from "../store/safe-read.ts";
import type { Interpreter } from "./interpreter.ts";
import { type Wheel, wheelsOf } from "./wheels.ts";

/** The limit of a requirements file in bytes: enough for the hashes of hundreds of packages. */
const largestRequirements = 16 * 1024 * 1024;

/** What is installed in an environment: the bundle's wheels, the repository's requirements from an index, or nothing. */
export type EnvironmentContent =
  | { mode: "vendor"; wheels: Wheel[] }
  | { mode: "index"; requirements: string | undefined; extra: string[]; digests: string[] }
  | { mode: "none" };

/** @param app the path of the release's directory `app` @throws CutoverError environment_failed, internal */
export function environmentContent(manifest: Manifest, app: string): EnvironmentContent {
  const { wheels: mode, requirements: file, extra = [] } = manifest.config.python;
  if (mode === "none") return { mode };
  if (mode === "index") {
    const digests = requirementDigests(manifest, app, posix.normalize(file));
    // The extra packages may be all that there is.
    const requirements = digests.length === 0 && extra.length > 0 ? undefined : file;
    return { mode, requirements, extra, digests };
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

/** The digests of a requirements file and of all that it includes; the release's id for a line that names the project itself. */
function requirementDigests(manifest: Manifest, app: string, first: string): string[] {
  const known = new Map(manifest.files.map(({ path, sha256 }) => [path, sha256]));
  const digests = new Map<string, string>();
  const queue = [first];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    const digest = known.get(`app/${file}`);
    if (digest === undefined || digests.has(file)) continue;
    digests.set(file, digest);
    for (const line of safeRead(app, file, largestRequirements).toString("utf8").split(/\r?\n/)) {
      const [, included] = /^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)/.exec(line) ?? [];
      if (included !== undefined) queue.push(posix.join(posix.dirname(file), included));
      else if (/^\s*(?!#)(?:-e\b|--editable\b|\.|\S*\/)|file:/.test(line)) digests.set(line, manifest.release);
    }
  }
  return [...digests].sort().flat();
}
