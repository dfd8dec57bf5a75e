import { createCipheriv } from "node:crypto";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configSchema } from "../../shared/config.ts";
import { packProject } from "../harness/pack.ts";
import type { BigBundleScale } from "./sizes.ts";

export const bigApp = "big";

export interface BigBundle {
  path: string;
  digest: string;
  files: number;
  /** Of the files together. */
  bytes: number;
  /** Of the bundle as it is sent. */
  packed: number;
}

/** Packed as the Action packs. The server of its configuration never answers: nothing of it is to go live. */
export async function makeBigBundle(directory: string, scale: BigBundleScale): Promise<BigBundle> {
  const project = join(directory, "project");
  const bytes = writeFiles(project, scale);
  const config = configSchema.parse({
    app: bigApp,
    server: { kind: "command", command: ["sh", "-c", "exec sleep 600", "{socket}"] },
    python: { wheels: "none" },
  });
  const { bundle, digest, manifest } = await packProject({
    config,
    directory: project,
    wheels: [],
    made: new Date(),
    repository: "",
    commit: "",
    into: directory,
    signal: new AbortController().signal,
  });
  rmSync(project, { recursive: true });
  return { path: bundle, digest, files: manifest.files.length, bytes, packed: statSync(bundle).size };
}

function writeFiles(project: string, { pictures, sources }: BigBundleScale): number {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
  const zeros = Buffer.alloc(pictures.bytes);
  let bytes = 0;
  const write = (folder: string, name: string, content: Buffer | string): void => {
    mkdirSync(join(project, folder), { recursive: true });
    writeFileSync(join(project, folder, name), content);
    bytes += content.length;
  };
  for (let number = 0; number < pictures.count; number++) {
    write(`media/${number % 20}`, `picture_${number}.jpg`, cipher.update(zeros));
  }
  for (let number = 0; number < sources.count; number++) {
    const lines = Array.from({ length: sources.lines }, (_, line) => `.part-${number}-${line} { order: ${line}; }\n`);
    write(`styles/${number % 50}`, `part_${number}.css`, lines.join(""));
  }
  return bytes;
}
