import { type Packed, writeBundle } from "../../action/bundle-writer.ts";
import { listFiles, makeManifest, readForBundle } from "../../action/pack.ts";
import type { PackFile } from "../../action/project.ts";
import type { Config } from "../../shared/config.ts";

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

/** A project as it stands, in a bundle, by the steps that the Action takes once static files and wheels are there. */
export async function packProject(request: PackRequest): Promise<Packed> {
  const files = readForBundle(listFiles(request.config, request.directory, request.wheels));
  return writeBundle(makeManifest({ ...request, files }), files, request.into, request.signal);
}
