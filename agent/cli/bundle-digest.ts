import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Parser, type Parser as TarParser } from "tar";
import { z } from "zod";
import { CutoverError } from "../../shared/errors.ts";
import { manifestDigest, manifestLimits, manifestName } from "../../shared/manifest.ts";
import { manifestDeltaName } from "../../shared/manifest-delta.ts";
import { digest } from "../../shared/names.ts";
import { parseJson } from "../../shared/plain-json.ts";

/** The digest for which a deploy token is signed: that of the bundle's manifest, its first entry. @throws CutoverError bundle_invalid */
export async function bundleDigest(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) throw invalid(`The bundle ${file} does not exist or is not a file.`);
  const source = createReadStream(file);
  try {
    const { name, bytes } = await firstEntry(source, new Parser({ strict: true }));
    return name === manifestName ? manifestDigest(bytes) : digestOfDelta(bytes);
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    throw invalid(`${file} is not a bundle: it is not a compressed tar.`, cause);
  } finally {
    source.destroy();
  }
}

/** A manifest that is only what changed says itself which one it gives; the agent checks that it does. */
function digestOfDelta(bytes: Buffer): string {
  const { data } = z.object({ digest }).safeParse(parseJson(bytes.toString("utf8")));
  if (data === undefined) throw invalid(`${manifestDeltaName} in the bundle cannot be read.`);
  return data.digest;
}

interface FirstEntry {
  name: string;
  bytes: Buffer;
}

async function firstEntry(source: NodeJS.ReadableStream, parser: TarParser): Promise<FirstEntry> {
  const { promise, resolve, reject } = Promise.withResolvers<FirstEntry>();
  let first = true;
  parser.on("entry", (entry) => {
    if (!first) {
      entry.resume();
      return;
    }
    first = false;
    const named = entry.path === manifestName || entry.path === manifestDeltaName;
    if (!named || entry.type !== "File" || entry.size > manifestLimits.bytes) {
      reject(invalid(`The bundle does not begin with ${manifestName}.`));
      entry.resume();
      return;
    }
    const chunks: Buffer[] = [];
    entry.on("data", (chunk: Buffer) => chunks.push(chunk));
    entry.on("end", () => resolve({ name: entry.path, bytes: Buffer.concat(chunks) }));
  });
  parser.on("error", reject);
  parser.on("end", () => reject(invalid("The bundle is empty.")));
  source.on("error", reject);
  source.on("data", (chunk) => void parser.write(typeof chunk === "string" ? Buffer.from(chunk) : chunk));
  source.on("end", () => void parser.end());
  return promise;
}

function invalid(message: string, cause?: unknown): CutoverError {
  return new CutoverError("bundle_invalid", message, {
    unchanged: "No token was made.",
    fix: "Give the file that the Action's output `bundle` names, or the digest of the bundle's manifest.json.",
    cause,
  });
}
