import { readFile } from "node:fs/promises";
import { type Manifest, type ManifestFile, manifestDigest } from "../../../shared/manifest.ts";

/**
 * The files in the manifest of a release on this host, and the manifest's sha256 in hex. The manifest was checked when it was
 * written, and only the agent has written there since. A full check again would take five times as long.
 * @throws what reading or parsing throws
 */
export async function storedFiles(path: string): Promise<{ digest: string; files: ManifestFile[] }> {
  const { digest, manifest } = await storedManifest(path);
  return { digest, files: manifest.files };
}

/** The same with all of the manifest. */
export async function storedManifest(path: string): Promise<{ digest: string; manifest: Manifest }> {
  const bytes = await readFile(path);
  return { digest: manifestDigest(bytes), manifest: JSON.parse(bytes.toString("utf8")) as Manifest };
}
