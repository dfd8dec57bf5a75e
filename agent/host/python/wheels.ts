import { CutoverError } from "../../../shared/errors.ts";
import type { Manifest } from "../../../shared/manifest.ts";

/** A wheel of a bundle, as its file name describes it. */
export interface Wheel {
  file: string;
  name: string;
  version: string;
  sha256: string;
}

/**
 * name-version[-build]-python-abi-platform.whl, by the standard for wheels. Only characters that a name and a version may have
 * are allowed, so a line with them can mean nothing else to pip.
 */
const wheelFile =
  /^([A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-([A-Za-z0-9][A-Za-z0-9.!+_]*)(?:-\d[A-Za-z0-9_.]*)?-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl$/;

/** The vendored wheels in a manifest. @throws CutoverError environment_failed for a name that is not a wheel's */
export function wheelsOf({ files }: Manifest): Wheel[] {
  return files.flatMap(({ path, sha256 }) => {
    const [, file] = /^wheels\/([^/]+\.whl)$/.exec(path) ?? [];
    if (file === undefined) return [];
    const [, name, version] = wheelFile.exec(file) ?? [];
    if (name === undefined || version === undefined) throw misnamed(file);
    return [{ file, name: normalName(name), version: version.replaceAll("_", "-"), sha256 }];
  });
}

/**
 * The requirements that pip gets. They come from the manifest and not from the repository's requirements, in which pip would
 * also read options, URLs, local directories and environment variables.
 */
export function requirementLines(wheels: Wheel[]): string {
  const hashes = new Map<string, string[]>();
  for (const { name, version, sha256 } of wheels) {
    const pin = `${name}==${version}`;
    hashes.set(pin, [...(hashes.get(pin) ?? []), `--hash=sha256:${sha256}`]);
  }
  return [...hashes].map(([pin, options]) => `${pin} ${options.join(" ")}\n`).join("");
}

function normalName(name: string): string {
  return name.toLowerCase().replaceAll(/[._]+/g, "-");
}

function misnamed(file: string): CutoverError {
  return new CutoverError("environment_failed", `${JSON.stringify(file)} is not a wheel's file name.`, {
    unchanged: "The live release goes on serving.",
    fix: "Let the Action vendor the wheels, or give the file the name that `pip wheel` gave it.",
  });
}
