import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, mkdir } from "../finding.ts";

const typeBits = 0o170000;
const directory = 0o040000;

export function directories({ directories }: HostFacts): Finding[] {
  return directories.flatMap(({ named, path, purpose, entry }) => {
    if (entry !== undefined && (entry.mode & typeBits) === directory) return [];
    return error("directories", {
      what: `${path} (${named}) ${entry === undefined ? "does not exist" : "is not a directory"}.`,
      why: purpose,
      fix: `\`mkdir -p ${path}\`, or set another directory.`,
      ...(entry === undefined && mkdir(path)),
    });
  });
}
