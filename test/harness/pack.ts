import { Bundle } from "../../action/bundle/bundle.ts";
import { listFiles, makeManifest, readForBundle } from "../../action/bundle/manifest.ts";
import type { ReadFile } from "../../action/bundle/read-files.ts";
import type { PackFile } from "../../action/project/walk.ts";
import type { Config } from "../../shared/config.ts";
import type { Manifest } from "../../shared/manifest.ts";

export interface PackRequest {
  config: Config;
  /** The project. */
  directory: string;
  wheels: PackFile[];
  made: Date;
  repository: string;
  commit: string;
  /** Where the bundle goes. */
  into: string;
  signal: AbortSignal;
}

export interface Packed {
  manifest: Manifest;
  digest: string;
  /** The bundle's path. */
  bundle: string;
}

/** A project as it stands, in a whole bundle, by the steps that the Action takes once static files and wheels are there. */
export async function packProject(request: PackRequest): Promise<Packed> {
  const files = readForBundle(listFiles(request.config, request.directory, request.wheels));
  return packFiles(makeManifest({ ...request, files }), files, request.into, request.signal);
}

export async function packFiles(manifest: Manifest, files: ReadFile[], directory: string, signal: AbortSignal) {
  const bundle = new Bundle({ manifest, files, directory, signal, onPacked: () => undefined });
  const { path } = await bundle.archive();
  return { manifest, digest: bundle.digest, bundle: path } satisfies Packed;
}
