import { z } from "zod";
import type { FilesView } from "./app-view.ts";
import type { ManifestFile } from "./manifest.ts";
import { digest, releaseId } from "./names.ts";

/**
 * How many hex digits of a file's sha256 travel in a list of a host's files: they are half of the list's bytes, and cannot
 * be compressed. Two files that begin alike in 128 bits would only be taken for the same by the sender; the host compares
 * all of it, and refuses what comes.
 */
export const shortSha256 = 32;

/** A release's files by columns, which compress better than rows. It is answered only to a caller that asks for it. */
export const filesColumns = z
  .object({
    release: releaseId,
    digest,
    // Thousands of values are only compared: a look at their type is enough, and one wrong one is as good as all.
    paths: z.custom<string[]>((value) => isListOf("string", value)),
    modes: z.custom<number[]>((value) => isListOf("number", value)),
    sizes: z.custom<number[]>((value) => isListOf("number", value)),
    /** All of them in one text, `shortSha256` digits each. */
    sha256: z.string(),
  })
  .refine(
    ({ paths, modes, sizes, sha256 }) =>
      modes.length === paths.length && sizes.length === paths.length && sha256.length === shortSha256 * paths.length,
    { error: "columns of different lengths" },
  );
function isListOf(type: "string" | "number", value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === type);
}

export type FilesColumns = z.output<typeof filesColumns>;

export function toColumns({ release, digest, files }: FilesView): FilesColumns {
  return {
    ...{ release, digest },
    paths: files.map(({ path }) => path),
    modes: files.map(({ mode }) => mode),
    sizes: files.map(({ size }) => size),
    sha256: files.map(({ sha256 }) => sha256.slice(0, shortSha256)).join(""),
  };
}

/** The files with the first `shortSha256` digits of their sha256. */
export function fromColumns({ release, digest, paths, modes, sizes, sha256 }: FilesColumns): FilesView {
  const files = paths.map((path, index): ManifestFile => {
    const at = shortSha256 * index;
    const mode = modes[index] === 0o755 ? 0o755 : 0o644;
    return { path, mode, size: sizes[index] ?? 0, sha256: sha256.slice(at, at + shortSha256) };
  });
  return { release, digest, files };
}
