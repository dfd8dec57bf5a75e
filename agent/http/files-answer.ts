import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";
import { toColumns } from "../../shared/files-columns.ts";
import type { FilesView } from "../../shared/protocol.ts";

export interface FilesRequest {
  /** By columns, for a caller that asks for it; by rows for all others. */
  columns: boolean;
  /** `If-None-Match`. */
  known: string | undefined;
  /** `Accept-Encoding`. */
  encodings: string | undefined;
}

/**
 * The files of a release: nothing if the caller has them already, compressed if it takes that. Their tag is the digest of
 * the release's manifest, so it is the same on every host.
 */
export async function filesResponse(view: FilesView, { columns, known, encodings }: FilesRequest): Promise<Response> {
  const etag = `"${view.digest}"`;
  const headers = { etag, vary: "accept-encoding", "cache-control": "no-store" };
  const tags = known?.split(",").map((tag) => tag.trim()) ?? [];
  if (tags.includes(etag)) return new Response(null, { status: 304, headers });
  const text = Buffer.from(JSON.stringify(columns ? toColumns(view) : view));
  const { encoding, bytes } = await compressed(text, encodings);
  return new Response(new Uint8Array(bytes), {
    headers: {
      ...headers,
      "content-type": "application/json",
      ...(encoding !== undefined && { "content-encoding": encoding }),
    },
  });
}

/** Not worth it below this many bytes. */
const leastBytes = 1024;

async function compressed(text: Buffer, encodings = ""): Promise<{ encoding?: string; bytes: Buffer }> {
  const taken = encodings.split(",").flatMap((each) => {
    const [name = "", quality = ""] = each.split(";").map((part) => part.trim().toLowerCase());
    return /^q=0(?:\.0*)?$/.test(quality) ? [] : [name];
  });
  if (text.length < leastBytes) return { bytes: text };
  if (taken.includes("zstd")) {
    const params = { [constants.ZSTD_c_compressionLevel]: 6 };
    return { encoding: "zstd", bytes: await promisify(zstdCompress)(text, { params }) };
  }
  return taken.includes("gzip") ? { encoding: "gzip", bytes: await promisify(gzip)(text) } : { bytes: text };
}
