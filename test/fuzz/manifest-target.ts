import { CutoverError } from "../../shared/errors.ts";
import {
  comparePaths,
  encodeManifest,
  type Manifest,
  type ManifestFile,
  parseManifest,
} from "../../shared/manifest.ts";
import { goodBundle } from "../hostile/archives/archive.ts";
import type { Chance } from "./chance.ts";
import { changeManifest } from "./change-manifest.ts";
import type { Target } from "./target.ts";

const good = encodeManifest(
  goodBundle({ config: { env: { A: "1" }, static: [{ url: "/static/", from: "assets" }], keep: 3 } }).manifest,
);

/** The parser of manifests: takes what obeys the grammar, as it stands, and refuses all else with one code. */
export const manifestTarget: Target<Buffer> = {
  name: "manifest",
  make(chance: Chance) {
    let bytes: Buffer = good;
    for (let left = chance.below(4); left >= 0; left--) bytes = changeManifest(bytes, chance);
    return bytes;
  },
  async check(bytes) {
    let manifest: Manifest;
    try {
      manifest = parseManifest(bytes);
    } catch (thrown) {
      if (!(thrown instanceof CutoverError) || thrown.code !== "manifest_invalid") throw thrown;
      if (thrown.message.length > 5000) throw new Error(`a message of ${thrown.message.length} characters`);
      return "refused";
    }
    if (`${JSON.stringify(JSON.parse(bytes.toString()))}\n` !== bytes.toString())
      throw new Error("taken in a second form");
    for (const [index, file] of manifest.files.entries()) checkFile(file, manifest.files[index - 1]);
    return "taken";
  },
  save: (bytes) => ({ bytes: bytes.toString("base64") }),
  load: (saved) => Buffer.from(saved.bytes ?? "", "base64"),
};

/** @throws Error if the file is one that the grammar forbids, or does not stand behind the one before it */
function checkFile({ path, mode }: ManifestFile, before: ManifestFile | undefined): void {
  const parts = path.split("/");
  const inArea = /^(?:app|static|wheels)$/.test(parts[0] ?? "");
  if (!inArea || parts.length < 2 || parts.length > 64) throw new Error(path);
  if (parts.some((part) => ["", ".", ".."].includes(part) || Buffer.byteLength(part) > 255)) throw new Error(path);
  if ([...path].some((letter) => letter < " " || letter === "\\")) throw new Error(path);
  if (mode !== 0o644 && mode !== 0o755) throw new Error(`${path} with ${mode}`);
  if (before !== undefined && comparePaths(before.path, path) >= 0) throw new Error(`${path} is not sorted`);
}
