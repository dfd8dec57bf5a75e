/** One thing that pip shall install, as a line of a requirements file says it. */
export interface Requirement {
  /** Normalized: lower case, with - between its words. */
  name: string;
  /** What pip gets, without marker and hashes: `django==4.2`, `lib @ git+https://...@<commit>`, or `./libs/common`. */
  line: string;
  /** The environments that it is for, in the syntax of PEP 508; empty for all. */
  marker: string;
  /** Such as `sha256:...`; empty if its bytes are not known. */
  hashes: string[];
}

/** What a project needs, as one of its files says it. */
export interface Dependencies {
  /** The file, relative to the project. */
  file: string;
  /** All of it is there with its exact version, so pip has nothing to choose. */
  locked: boolean;
  requirements: Requirement[];
  /** The indexes that it comes from, PyPI too if it is one of them; empty if the file does not say. */
  indexes: string[];
  /** What a person should know, such as a lock that lacks something. */
  warnings: string[];
}

export const pypi = "https://pypi.org/simple";

/**
 * pip's options for the indexes of a file.
 * @param mirror the person has named an index that takes the place of the first
 */
export function indexOptions(indexes: string[], mirror: boolean): string[] {
  const own = indexes.filter((address) => !/^https:\/\/pypi\.(?:org|python\.org)\//.test(address));
  if (own.length < indexes.length) return own.map((address) => `--extra-index-url ${address}`);
  const [first, ...others] = own;
  if (first === undefined) return [];
  return [...(mirror ? [] : [`--index-url ${first}`]), ...others.map((address) => `--extra-index-url ${address}`)];
}

/** As PEP 503 compares names. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/[._-]+/g, "-");
}

/** One line of a requirements file, with its hashes in a fixed order: some tools write them in another one each time. */
export function requirementLine({ line, marker, hashes }: Requirement): string {
  const condition = marker === "" ? "" : ` ; ${marker}`;
  return [`${line}${condition}`, ...hashes.toSorted().map((hash) => `--hash=${hash}`)].join(" \\\n    ");
}

/** The line of `[project] dependencies`: a requirement of PEP 508. */
export function parseRequirement(given: string): Requirement {
  const [name = ""] = /^[A-Za-z0-9][A-Za-z0-9._-]*/.exec(given.trim()) ?? [];
  // In an address a semicolon belongs to it unless a space is before it.
  const address = /^[^;]*@\s*[a-z+]+:/i.test(given);
  const [, line = given, marker = ""] = (address ? /^(.*?)(?:\s;(.*))?$/s : /^([^;]*)(?:;(.*))?$/s).exec(given) ?? [];
  return { name: normalName(name), line: line.trim(), marker: marker.trim(), hashes: [] };
}

/** The extras of a requirement of PEP 508, normalized. */
export function extrasOf(requirement: string): string[] {
  const [, extras = ""] = /^\s*[A-Za-z0-9._-]+\s*\[([^\]]*)\]/.exec(requirement) ?? [];
  return extras
    .split(",")
    .map((extra) => normalName(extra.trim()))
    .filter((extra) => extra !== "");
}
