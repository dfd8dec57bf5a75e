import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packageName } from "./control.ts";
import { makeSbom } from "./sbom.ts";

export interface ReleaseFilesInput {
  /** The directory with the packages of `npm run package`; the files go there too. */
  directory: string;
  version: string;
  notes: string;
  /** Seconds since the epoch: the time in the SBOM. */
  date: number;
}

const sbom = "cutover.cdx.json";

/**
 * Writes next to the packages: an SBOM, SHA256SUMS of all files of the release, and NOTES.md for its page.
 * @throws Error if a package is missing
 */
export async function writeReleaseFiles({ directory, version, notes, date }: ReleaseFilesInput): Promise<void> {
  // Not from node.ts, which needs node_modules: the tag is checked before anything is installed.
  const packages = ["amd64", "arm64"].map((architecture) => `${packageName}_${version}_${architecture}.deb`);
  const missing = packages.filter((name) => !existsSync(join(directory, name)));
  if (missing.length > 0) throw new Error(`${directory} lacks ${missing.join(" and ")}: run \`npm run package\` first`);
  await writeFile(join(directory, sbom), await makeSbom("cutover", date));
  const sums = [...packages, sbom].map((name) => checksum(directory, name));
  await writeFile(join(directory, "SHA256SUMS"), (await Promise.all(sums)).join(""));
  await writeFile(join(directory, "NOTES.md"), notes);
}

/** A line as sha256sum writes it. */
async function checksum(directory: string, name: string): Promise<string> {
  const digest = createHash("sha256").update(await readFile(join(directory, name)));
  return `${digest.digest("hex")}  ${name}\n`;
}
