import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { filesColumns, fromColumns } from "../../shared/files-columns.ts";
import type { ManifestFile } from "../../shared/manifest.ts";
import { manifestLimits } from "../../shared/manifest.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { calls, type FilesView } from "../../shared/protocol.ts";
import type { HttpAnswer } from "./http.ts";

/** The files of a host's live release. */
export interface LiveFiles extends FilesView {
  /** The host takes a manifest as a difference to that of this release. */
  delta: boolean;
}

/** The manifests that this job knows from earlier ones. */
export interface KnownManifests {
  digests(): Promise<string[]>;
  read(digest: string): Promise<{ release: string; files: ManifestFile[] } | undefined>;
}

export const noManifests: KnownManifests = { digests: async () => [], read: async () => undefined };

/** The headers of the question. An older agent looks at none of them, nor at the query for columns. */
export async function filesHeaders(known: KnownManifests): Promise<Record<string, string>> {
  const tags = (await known.digests()).map((digest) => `"${digest}"`);
  return { "accept-encoding": "zstd, gzip", ...(tags.length > 0 && { "if-none-match": tags.join(", ") }) };
}

/**
 * What an agent said: rows, columns, or that this job has them already. Only an agent that takes differences says one of the
 * last two.
 * @returns undefined if it cannot be read
 */
export async function readFilesAnswer(answer: HttpAnswer, known: KnownManifests): Promise<LiveFiles | undefined> {
  if (answer.statusCode === 304) {
    answer.destroy();
    const digest = headerOf(answer, "etag").replaceAll('"', "");
    const found = await known.read(digest);
    return found && { release: found.release, digest, files: found.files, delta: true };
  }
  const value = parseJson(await decoded(answer));
  const columns = filesColumns.safeParse(value).data;
  if (columns !== undefined) return { ...fromColumns(columns), delta: true };
  const rows = calls.files.answer.safeParse(value).data;
  return rows && { ...rows, delta: false };
}

/** The text, within the limit that a manifest has. @throws what the decompression throws */
async function decoded(answer: HttpAnswer): Promise<string> {
  const maxOutputLength = manifestLimits.bytes;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > maxOutputLength) throw new Error("the list of files is too long");
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  switch (headerOf(answer, "content-encoding")) {
    case "zstd":
      return (await promisify(zstdDecompress)(bytes, { maxOutputLength })).toString("utf8");
    case "gzip":
      return (await promisify(gunzip)(bytes, { maxOutputLength })).toString("utf8");
    default:
      return bytes.toString("utf8");
  }
}

function headerOf({ headers = {} }: HttpAnswer, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
