import { createHash } from "node:crypto";
import type { ErrorCode } from "../../../shared/errors.ts";
import { encodeManifest, type Manifest, manifestDigest, manifestName } from "../../../shared/manifest.ts";
import { type BundleInput, compress, type FileInput, makeBundle, tarOf } from "../../fixtures/bundle.ts";
import { type RawHeader, rawEntry } from "./raw-tar.ts";

/** One bundle that must be refused, and why. */
export interface HostileArchive {
  name: string;
  code: ErrorCode;
  reason: RegExp;
  make: () => Body;
}

export interface Body {
  body: Buffer;
  /** What the token was signed for. */
  digest: string;
}

export const files: Record<string, FileInput> = {
  "app/a.py": "a = 1\n",
  "app/b/c.py": "c = 3\n",
  "app/run.sh": { content: "#!/bin/sh\n", mode: 0o755 },
  "static/static/site.css": "body {}\n",
};

/** What is not hostile: each host must take it after all that it refused. */
export function goodBundle(input: BundleInput = {}): Body & { tar: Buffer; manifest: Manifest } {
  const { bytes, digest, tar, manifest } = makeBundle({ files, ...input });
  return { body: bytes, digest, tar, manifest };
}

/** A bundle whose archive was changed after its manifest was signed. */
export function changed(input: Pick<BundleInput, "changeEntries" | "end">): () => Body {
  return () => goodBundle(input);
}

/** A bundle in which the blocks of one entry are these. */
export function instead(path: string, ...raw: Buffer[]): () => Body {
  return changed({
    changeEntries: (entries) =>
      entries.map((entry) => (entry.path === path ? { ...entry, raw: Buffer.concat(raw) } : entry)),
  });
}

/** A bundle whose app/a.py has this header. */
export function headed(header: RawHeader): () => Body {
  return instead("app/a.py", rawEntry({ name: "app/a.py", ...header }, "a = 1\n"));
}

/** A bundle with these blocks before app/a.py. */
export function preceded(...raw: Buffer[]): () => Body {
  return instead("app/a.py", ...raw, rawEntry({ name: "app/a.py" }, "a = 1\n"));
}

/** A bundle with a manifest of any kind, signed as it is, and without files behind it. */
export function withManifest(bytes: Buffer): Body {
  const tar = tarOf([{ path: manifestName, content: bytes }]);
  return { body: compress(tar), digest: manifestDigest(bytes) };
}

/** A bundle whose manifest was changed before it was signed, with the files that it then names. */
export function manifested(change: (manifest: Manifest) => void): () => Body {
  return () => goodBundle({ changeManifest: change });
}

/** A bundle of files with these paths, each as it should be but for its path. */
export function pathed(...paths: string[]): () => Body {
  return () => {
    const { manifest } = goodBundle();
    const sha256 = createHash("sha256").update("").digest("hex");
    const listed = paths.map((path) => ({ path, mode: 0o644 as const, size: 0, sha256 }));
    return withManifest(encodeManifest({ ...manifest, files: listed }));
  };
}
