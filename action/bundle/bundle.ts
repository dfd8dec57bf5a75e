import { stat } from "node:fs/promises";
import { join } from "node:path";
import { encodeManifest, leftOutOver, type Manifest, manifestDigest, manifestName } from "../../shared/manifest.ts";
import { makeManifestDelta, manifestDeltaName } from "../../shared/manifest-delta.ts";
import type { LiveFiles } from "../client/live-files.ts";
import { type FirstEntry, writeBundle } from "./bundle-writer.ts";
import type { ReadFile } from "./read-files.ts";

/** A bundle on this runner's disk. */
export interface Archive {
  path: string;
  /** In bytes. */
  size: number;
  /** The release over which it is thin; undefined when it is whole. */
  base: string | undefined;
  /** How many files it contains. */
  files: number;
}

export interface BundleParts {
  manifest: Manifest;
  files: ReadFile[];
  /** Where archives go. */
  directory: string;
  signal: AbortSignal;
  onPacked(archive: Archive): void;
}

/**
 * What a job sends: one manifest, whose digest the tokens name, in as many archives as the hosts need. An archive is
 * written when the first host asks for it.
 */
export class Bundle {
  readonly release: string;
  readonly digest: string;
  readonly #parts: BundleParts;
  /** manifest.json. */
  readonly #manifest: Buffer;
  readonly #archives = new Map<string, Promise<Archive>>();

  constructor(parts: BundleParts) {
    this.#parts = parts;
    this.release = parts.manifest.release;
    this.#manifest = encodeManifest(parts.manifest);
    this.digest = manifestDigest(this.#manifest);
  }

  /** manifest.json. */
  get manifest(): Buffer {
    return this.#manifest;
  }

  /**
   * The archive for a host that has the files of `base`, or the one for any host.
   * @throws CutoverError file_changed, path_not_allowed
   */
  archive(base?: LiveFiles): Promise<Archive> {
    const key = base === undefined ? "whole" : `${base.digest} ${base.delta}`;
    const known = this.#archives.get(key) ?? this.#write(base);
    this.#archives.set(key, known);
    return known;
  }

  async #write(base: LiveFiles | undefined): Promise<Archive> {
    const { manifest, files, directory, signal, onPacked } = this.#parts;
    const leftOut = leftOutOver(base?.files ?? []);
    const sent = files.filter((file) => !leftOut(file));
    // Hosts that have nothing of the project share the whole archive.
    if (base !== undefined && sent.length === files.length) return this.archive();
    const first = this.#firstEntry(base);
    const thin = base === undefined ? "" : `.thin-${base.digest.slice("sha256:".length).slice(0, 12)}`;
    const form = first.name === manifestName ? "" : "-delta";
    const path = join(directory, `cutover-${manifest.app}-${manifest.release}${thin}${form}.tar.zst`);
    await writeBundle({ manifest: first, files: sent, path, signal });
    const { size } = await stat(path);
    const archive: Archive = { path, size, base: base?.release, files: sent.length };
    onPacked(archive);
    return archive;
  }

  /** The manifest, or what changed in it, for a host that puts it together. */
  #firstEntry(base: LiveFiles | undefined): FirstEntry {
    const delta = base?.delta === true ? makeManifestDelta(this.#parts.manifest, base) : undefined;
    const whole = { name: manifestName, bytes: this.#manifest };
    // After a change of everything, the difference is the longer one.
    return delta !== undefined && delta.length < this.#manifest.length
      ? { name: manifestDeltaName, bytes: delta }
      : whole;
  }
}
