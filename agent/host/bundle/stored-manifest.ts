import { type ManifestFile, manifestDigest, manifestFiles, manifestLimits } from "../../../shared/manifest.ts";
import type { AppLayout } from "../store/layout.ts";
import { readSafely } from "../store/safe-read.ts";

/** The bytes of the manifest of a release on this host. @throws as `readSafely` */
export function storedManifest({ home, manifest }: AppLayout, release: string): Promise<Buffer> {
  return readSafely(home, manifest(release), manifestLimits.bytes);
}

/**
 * The files in the manifest of a release on this host, and the manifest's sha256 in hex. The manifest was checked when it was
 * written, and only the agent has written there since. A full check again would take five times as long.
 * @throws what reading or parsing throws
 */
export async function storedFiles(
  layout: AppLayout,
  release: string,
): Promise<{ digest: string; files: ManifestFile[] }> {
  const bytes = await storedManifest(layout, release);
  return { digest: manifestDigest(bytes), files: [...manifestFiles(bytes)] };
}
