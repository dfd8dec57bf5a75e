import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { CutoverError } from "../../shared/errors.ts";
import { manifestDigest, manifestName, parseManifest } from "../../shared/manifest.ts";
import { type BundleInput, makeBundle, type TarEntry } from "../fixtures/bundle.ts";
import { files } from "../hostile/archives/archive.ts";
import { liveFiles, liveRelease, Victim } from "../hostile/archives/victim.ts";
import type { Chance } from "./chance.ts";
import { changeArchive } from "./change-archive.ts";
import { changeBytes } from "./change-bytes.ts";
import { changeManifest } from "./change-manifest.ts";
import type { Target } from "./target.ts";

export interface BundleCase {
  body: Buffer;
  digest: string;
  base: string;
  piece: number;
}

const long = { [`app/${"long/".repeat(40)}größer.txt`]: "x", "app/large.bin": Buffer.alloc(300_000, "ab") };

/** The reader of bundles, on a host with a live release: see "What was tried against it" in test/README.md. */
export class BundleTarget implements Target<BundleCase>, Disposable {
  readonly name = "bundle";
  readonly #victim: Victim;
  readonly #before: string[];

  private constructor(victim: Victim) {
    this.#victim = victim;
    this.#before = victim.snapshot();
  }

  static async open(): Promise<BundleTarget> {
    return new BundleTarget(await Victim.start());
  }

  make(chance: Chance): BundleCase {
    const inputs: BundleInput[] = [
      { files },
      { files: { ...files, ...long } },
      { files: { ...liveFiles, ...files }, base: this.#victim.live },
      { files: liveFiles, base: this.#victim.live },
    ];
    const chosen = chance.one(inputs);
    const manifests = chance.below(4);
    let digest = "";
    const changeEntries = (entries: TarEntry[]): TarEntry[] => {
      const [first, ...rest] = entries;
      let content = first?.content ?? Buffer.alloc(0);
      for (let left = manifests - 2; left > 0; left--) content = changeManifest(content, chance);
      digest = manifestDigest(content);
      return [{ path: manifestName, content }, ...rest];
    };
    let { tar } = makeBundle({ ...chosen, changeEntries });
    for (let left = chance.below(4); left > 0; left--) {
      tar = chance.below(4) === 0 ? changeBytes(tar, chance) : changeArchive(tar, chance);
    }
    let body: Buffer = chance.below(2) === 0 ? zstdCompressSync(tar) : gzipSync(tar);
    for (let left = chance.below(8) - 5; left > 0; left--) body = changeBytes(body, chance);
    const base = chosen.base === undefined || chance.below(20) === 0 ? "" : liveRelease;
    return { body, digest, base, piece: chance.one([1 + chance.below(600), 4096, 1_000_000]) };
  }

  async check({ body, digest, base, piece }: BundleCase): Promise<"taken" | "refused"> {
    const victim = this.#victim;
    try {
      const { manifest } = await victim.unpack({ body, digest }, { piece, ...(base !== "" && { base }) });
      this.#assertAsNamed(manifest.release, digest);
      await victim.remove(manifest.release);
      this.#assertUntouched();
      return "taken";
    } catch (thrown) {
      if (!(thrown instanceof CutoverError) || !/^(?:bundle|manifest|base|release)_/.test(thrown.code)) throw thrown;
      this.#assertUntouched();
      return "refused";
    }
  }

  /** Just the manifest's files, with their bytes and modes, and what the agent itself writes. */
  #assertAsNamed(release: string, digest: string): void {
    const root = this.#victim.layout.release(release);
    const stored = readFileSync(join(root, manifestName));
    if (manifestDigest(stored) !== digest) throw new Error("another manifest was kept than the one that was signed");
    const named = parseManifest(stored).files.map(
      ({ path, mode, size, sha256 }) => `${path} ${mode} ${size} ${sha256}`,
    );
    const found = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((path) => path !== manifestName && path !== "config.json")
      .flatMap((path) => {
        const status = lstatSync(join(root, path));
        if (status.isDirectory()) return [];
        if (!status.isFile() || status.nlink < 2) throw new Error(`${path} is no object of the store`);
        const sha256 = createHash("sha256").update(readFileSync(join(root, path)));
        return [`${path} ${status.mode & 0o7777} ${status.size} ${sha256.digest("hex")}`];
      });
    if (found.toSorted().join("\n") !== named.toSorted().join("\n"))
      throw new Error("what is there differs from the manifest");
  }

  #assertUntouched(): void {
    const now = this.#victim.snapshot();
    if (now.join("\n") !== this.#before.join("\n")) throw new Error(`the host changed:\n${now.join("\n")}`);
  }

  save({ body, digest, base, piece }: BundleCase): Record<string, string> {
    return { body: body.toString("base64"), digest, base, piece: String(piece) };
  }

  load({ body = "", digest = "", base = "", piece = "" }: Record<string, string>): BundleCase {
    return { body: Buffer.from(body, "base64"), digest, base, piece: Number(piece) };
  }

  [Symbol.dispose](): void {
    this.#victim[Symbol.dispose]();
  }
}
