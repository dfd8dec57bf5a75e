import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** What decides which wheels pip gets, as far as one can read it without running pip. */
export interface Requirements {
  /** A hash over the file, the files it includes, and the values of the variables that they use. */
  hash: string;
  /** It names a directory or a file of this machine, whose content the hash does not cover. */
  local: boolean;
}

const include = /^\s*(?:-r|-c|--requirement|--constraint)[\s=]*["']?([^\s"'#]+)/;
const localEntry = /^\s*(?:-e\b|--editable\b|\.{0,2}\/|\.(?:\[|\s|$)|file:|[^\s@:#]+\.(?:whl|zip|tar\.gz)\b)|@\s*file:/;

/** Reads a requirements file and the files that it includes. A missing file is not an error here: pip will report it. */
export function readRequirements(file: string, env: NodeJS.ProcessEnv): Requirements {
  const hash = createHash("sha256");
  let local = false;
  const seen = new Set<string>();
  const read = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch {
      hash.update(`missing ${path}\0`);
      return;
    }
    hash.update(`${text}\0`);
    for (const [, name = ""] of text.matchAll(/\$\{([A-Z0-9_]+)\}/g)) hash.update(`${name}=${env[name] ?? ""}\0`);
    for (const line of text.split("\n")) {
      const included = includedFile(line);
      if (included !== undefined) read(resolve(dirname(path), included));
      if (localEntry.test(line)) local = true;
    }
  };
  read(file);
  return { hash: hash.digest("hex"), local };
}

/** The file that a line includes; undefined also if it includes an address. */
function includedFile(line: string): string | undefined {
  const included = include.exec(line)?.[1];
  return included === undefined || /^[a-z]+:\/\//.test(included) ? undefined : included;
}

/** The key of the wheels' cache: requirements, interpreter, arguments and pip's own environment. */
export function wheelsKey(requirements: Requirements, parts: string[], env: NodeJS.ProcessEnv): string {
  const pip = Object.entries(env)
    .filter(([name]) => name.startsWith("PIP_"))
    .map(([name, value]) => `${name}=${value ?? ""}`)
    .sort();
  return createHash("sha256")
    .update(JSON.stringify([requirements.hash, parts, pip]))
    .digest("hex")
    .slice(0, 24);
}
