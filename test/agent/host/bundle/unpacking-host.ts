import { existsSync, readdirSync } from "node:fs";
import { Readable } from "node:stream";
import type { UnpackOptions } from "../../../../agent/contracts/ports.ts";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Bundle } from "../../../fixtures/bundle.ts";
import { scratch } from "../scratch.ts";

export const id = "20261121T103000Z-3f2c1ab";

export function host(limits = { bundle: 1e9, free: 0 }) {
  const data = scratch();
  const releases = new ReleaseDirectories({ data, limits });
  const layout = appLayout(data, "shop");
  const unpack = (bytes: Buffer, options: Partial<UnpackOptions> = {}, piece = 1000) =>
    releases.unpack("shop", bodyOf(bytes, piece), {
      accept: async () => undefined,
      signal: new AbortController().signal,
      ...options,
    });
  /** Takes only the bundle that was signed for, as the deploy code does. */
  const unpackSigned = (bytes: Buffer, { digest }: Bundle, piece?: number) =>
    unpack(bytes, { accept: async (_, found) => mismatch(found !== digest) }, piece);
  const left = () => (existsSync(layout.releases) ? readdirSync(layout.releases) : []);
  return { releases, layout, unpack, unpackSigned, left };
}

export function mismatch(is: boolean): void {
  if (is) throw new CutoverError("manifest_mismatch", "another manifest");
}

export function bodyOf(bytes: Buffer, piece: number): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += piece) pieces.push(bytes.subarray(at, at + piece));
  return Readable.from(pieces, { objectMode: false });
}

export const files = {
  "app/shop/wsgi.py": "application = None\n",
  "app/run.sh": { content: "#!/bin/sh\n", mode: 0o755 as const },
  "app/empty": "",
  "app/exactly-a-block": "x".repeat(512),
  "app/large.bin": Buffer.alloc(700_000, "0123456789"),
  [`app/${"long/".repeat(30)}größer.txt`]: "a long path with letters beyond ASCII",
  "static/static/site.css": "body {}\n",
};
