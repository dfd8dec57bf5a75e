import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Parser, type Parser as TarParser } from "tar";
import { CutoverError } from "../../shared/errors.ts";
import { manifestDigest, manifestLimits, manifestName } from "../../shared/manifest.ts";

/** The digest for which a deploy token is signed: that of the bundle's first entry, its manifest. @throws CutoverError bundle_invalid */
export async function bundleDigest(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) throw invalid(`The bundle ${file} does not exist or is not a file.`);
  const source = createReadStream(file);
  try {
    return manifestDigest(await firstEntry(source, new Parser({ strict: true })));
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    throw invalid(`${file} is not a bundle: it is not a compressed tar.`, cause);
  } finally {
    source.destroy();
  }
}

async function firstEntry(source: NodeJS.ReadableStream, parser: TarParser): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let first = true;
  parser.on("entry", (entry) => {
    if (!first) {
      entry.resume();
      return;
    }
    first = false;
    if (entry.path !== manifestName || entry.type !== "File" || entry.size > manifestLimits.bytes) {
      reject(invalid(`The bundle does not begin with ${manifestName}.`));
      entry.resume();
      return;
    }
    const chunks: Buffer[] = [];
    entry.on("data", (chunk: Buffer) => chunks.push(chunk));
    entry.on("end", () => resolve(Buffer.concat(chunks)));
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
