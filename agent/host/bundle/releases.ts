import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readlink, rename, rm } from "node:fs/promises";
import { basename, relative } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import prettyBytes from "pretty-bytes";
import { type Config, configSchema } from "../../../shared/config.ts";
import { asCutoverError, CutoverError } from "../../../shared/errors.ts";
import {
  type Manifest,
  type ManifestFile,
  manifestDigest,
  manifestLimits,
  parseManifest,
} from "../../../shared/manifest.ts";
import { releaseId } from "../../../shared/names.ts";
import type { FilesView } from "../../../shared/protocol.ts";
import type {
  FreeSpace,
  PublishedLinks,
  Releases,
  StoredRelease,
  UnpackOptions,
  VerifiedReleases,
} from "../../contracts/ports.ts";
import { effect, effectNow } from "../../effects.ts";
import { abortReason } from "../abort-reason.ts";
import { removeTree } from "../ownership/trees.ts";
import { pointSymlink, removeUnfinished, syncDirectory } from "../store/durable.ts";
import { type AppLayout, appLayout } from "../store/layout.ts";
import { collectObjects, collectUnsynced, markSynced, ObjectStore, objectName } from "../store/objects.ts";
import { listSafely, readLimits, readSafely } from "../store/safe-read.ts";
import { Turns } from "../store/turns.ts";
import { BaseRelease } from "./base-release.ts";
import { type BundleSink, readBundle } from "./bundle-reader.ts";
import { bundleUnchanged, decompressed } from "./bundle-stream.ts";
import { assertFits, bytesOnDisk, freedBytes } from "./disk-space.ts";
import { linkShared } from "./link-shared.ts";
import { ReleaseWriter } from "./release-writer.ts";
import { storedFiles, storedManifest } from "./stored-manifest.ts";
import { verifyReleases } from "./verify.ts";
import { withWholeManifest } from "./whole-manifest.ts";

export interface ReleaseDirectoriesOptions {
  data: string;
  limits: {
    /** Bytes of a bundle's files together. */
    bundle: number;
    /** Bytes of a bundle's manifest; as many as the format allows unless given. */
    manifest?: number;
    /** Free bytes that must remain after unpacking. */
    free: number;
  };
  /** Embedded mode, in which an app has the agent's user: the owner of files cannot write to them either. */
  readOnly?: boolean;
}

/** Releases as directories in `<data>/apps/<app>/releases`. */
export class ReleaseDirectories implements Releases {
  readonly #data: string;
  readonly #limits: ReleaseDirectoriesOptions["limits"];
  readonly #readOnly: boolean;

  constructor({ data, limits, readOnly = false }: ReleaseDirectoriesOptions) {
    this.#data = data;
    this.#limits = limits;
    this.#readOnly = readOnly;
  }

  async unpack(app: string, bundle: Readable, options: UnpackOptions): Promise<{ manifest: Manifest; digest: string }> {
    const layout = appLayout(this.#data, app);
    const { base, signal } = options;
    let partial: string | undefined;
    let objects: ObjectStore | undefined;
    let accepted: { manifest: Manifest; digest: string; writer: ReleaseWriter } | undefined;
    const sink: BundleSink = {
      manifest: async (manifest, digest, content) => {
        await options.accept(manifest, digest);
        if (signal.aborted) throw abortReason(signal);
        const root = layout.partial(manifest.release);
        const old = base === undefined ? undefined : await BaseRelease.open({ layout, release: base, signal });
        const store = await this.#storeFor(layout, { manifest, old, freeSpace: options.freeSpace });
        [objects, partial] = [store, root];
        await this.#clear(root);
        await effect("bundle.spool", () => store.begin());
        const { created } = manifest;
        const writer = new ReleaseWriter({ root, created, objects: store, readOnly: this.#readOnly });
        await effect("bundle.spool", () => writer.manifest(content, manifest.config));
        accepted = { manifest, digest, writer };
        return old?.writeTo(writer);
      },
      file: (file, content) => {
        if (accepted === undefined) throw new Error("a file came before the manifest");
        const { writer } = accepted;
        return effectNow("object.write", () => writer.file(file, content), file.path);
      },
    };
    try {
      const archive = decompressed(bundle, signal);
      const readBase = (release: string) => () => storedFiles(layout, release);
      const { manifest: manifestLimit = manifestLimits.bytes } = this.#limits;
      const whole = base === undefined ? archive : withWholeManifest(archive, readBase(base));
      await readBundle(whole, sink, { manifest: manifestLimit });
      if (accepted === undefined || partial === undefined) throw new Error("a bundle was read without its manifest");
      const { manifest, digest, writer } = accepted;
      if (signal.aborted) throw abortReason(signal);
      effectNow("bundle.static", () => writer.linkStatic(manifest.config.static));
      await effect("bundle.static", () => writer.linkPage(manifest.config, manifest.files));
      const unpacked = partial;
      effectNow("bundle.shared", () => linkShared(unpacked, manifest.config.shared));
      refuseExisting(layout, manifest.release);
      const [from, to] = [partial, layout.release(manifest.release)];
      await effect("release.rename", () => rename(from, to));
      await syncDirectory(layout.releases);
      return { manifest, digest };
    } catch (thrown) {
      const path = partial;
      if (path !== undefined) await effect("bundle.drop", () => rm(path, { recursive: true, force: true }));
      objects?.drop();
      throw asCutoverError(thrown);
    }
  }

  async config(app: string, release: string): Promise<Config> {
    const { home, config } = appLayout(this.#data, app);
    const read = () => readSafely(home, config(release), readLimits.config);
    return unlessGone(app, release, async () => configSchema.parse(JSON.parse((await read()).toString("utf8"))));
  }

  async manifest(app: string, release: string): Promise<Manifest> {
    const layout = appLayout(this.#data, app);
    return unlessGone(app, release, async () => parseManifest(await storedManifest(layout, release)));
  }

  async files(app: string, release: string): Promise<FilesView> {
    const layout = appLayout(this.#data, app);
    return { release, ...(await unlessGone(app, release, () => storedFiles(layout, release))) };
  }

  async remove(app: string, release: string): Promise<void> {
    const layout = appLayout(this.#data, app);
    const partial = layout.partial(release);
    await this.#clear(partial);
    // Moved away first: a release that exists is whole, even if its removal is interrupted.
    try {
      await effect("release.aside", () => rename(layout.release(release), partial));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return;
      throw thrown;
    }
    await effect("release.remove", () => removeTree(partial));
  }

  async list(app: string): Promise<StoredRelease[]> {
    const layout = appLayout(this.#data, app);
    const found: StoredRelease[] = [];
    // One after the other: a manifest may have megabytes.
    for (const name of await listSafely(layout.home, layout.releases)) {
      if (!releaseId.safeParse(name).success) continue;
      try {
        const bytes = await storedManifest(layout, name);
        const { release, commit, repository, created } = parseManifest(bytes);
        if (release === name) found.push({ id: name, digest: manifestDigest(bytes), commit, repository, created });
      } catch {
        // It is no whole release.
      }
    }
    return found;
  }

  async published(app: string): Promise<{ current: string | null; previous: string | null }> {
    const layout = appLayout(this.#data, app);
    const target = async (link: "current" | "previous") => {
      const path = await readlink(layout.published(link)).catch(() => undefined);
      return path === undefined ? null : basename(path);
    };
    return { current: await target("current"), previous: await target("previous") };
  }

  async verify(app: string): Promise<VerifiedReleases> {
    return verifyReleases(appLayout(this.#data, app));
  }

  async prune(app: string): Promise<void> {
    const layout = appLayout(this.#data, app);
    await collectObjects(layout);
    // What is left belongs to releases that had their `sync`.
    markSynced(layout);
  }

  /** One `sync -f` (syncfs) instead of an fsync for each of thousands of files. */
  async sync(app: string, release: string): Promise<void> {
    const layout = appLayout(this.#data, app);
    const path = layout.release(release);
    await effect("release.sync", () => promisify(execFile)("sync", ["-f", path]), path);
    markSynced(layout);
  }

  async publish(app: string, links: PublishedLinks): Promise<void> {
    const layout = appLayout(this.#data, app);
    let changed = false;
    for (const name of ["previous", "current", "canary", "staged"] as const) {
      const release = links[name];
      if (release === undefined) continue;
      const link = layout.published(name);
      await removeUnfinished(link);
      const target = release === null ? undefined : relative(layout.home, layout.release(release));
      if ((await readlink(link).catch(() => undefined)) === target) continue;
      await effect(
        "links.publish",
        () => (target === undefined ? rm(link, { force: true }) : pointSymlink(link, target)),
        link,
      );
      changed = true;
    }
    if (changed) await syncDirectory(layout.home);
  }

  async assertSpace(app: string, bytes: number, freeSpace: FreeSpace): Promise<void> {
    const { releases } = appLayout(this.#data, app);
    await assertFits(releases, bytes + this.#limits.free, freeSpace);
  }

  async freedBytes(app: string, releases: string[]): Promise<number> {
    return freedBytes(appLayout(this.#data, app), releases);
  }

  /** Removes what an interrupted upload or removal left. */
  async #clear(partial: string): Promise<void> {
    if (existsSync(partial)) await effect("bundle.clear", () => removeTree(partial));
  }

  /** The store, when what it does not have yet fits. */
  async #storeFor(
    layout: AppLayout,
    {
      manifest,
      old,
      freeSpace,
    }: { manifest: Manifest; old: BaseRelease | undefined; freeSpace: FreeSpace | undefined },
  ): Promise<ObjectStore> {
    const { release, files } = manifest;
    refuseTooLarge(files, this.#limits.bundle);
    refuseExisting(layout, release);
    await mkdir(layout.releases, { recursive: true });
    await collectUnsynced(layout);
    const store = new ObjectStore(layout);
    const added = await newFiles(files, store, old);
    await assertFits(layout.releases, (await bytesOnDisk(layout.releases, added)) + this.#limits.free, freeSpace);
    return store;
  }
}

/** The files that become objects, each content once. */
async function newFiles(files: ManifestFile[], store: ObjectStore, old?: BaseRelease): Promise<ManifestFile[]> {
  const found = new Map<string, ManifestFile>();
  const turns = new Turns();
  for (const file of files) {
    if (old?.inStore && old.has(file)) continue;
    const name = objectName(file);
    if (!found.has(name) && !store.has(name)) found.set(name, file);
    await turns.after();
  }
  return [...found.values()];
}

async function unlessGone<T>(app: string, release: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw thrown;
    throw new CutoverError("release_not_found", `The host has no release ${release} of ${app}.`, {
      unchanged: "Nothing was changed.",
      fix: `List the releases with \`cutover releases ${app}\`; old ones are removed after \`keep\` deploys.`,
      cause: thrown,
    });
  }
}

function refuseTooLarge(files: ManifestFile[], limit: number): void {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (total <= limit) return;
  const message = `The bundle's files have ${prettyBytes(total)}; this host takes ${prettyBytes(limit)}.`;
  throw new CutoverError("bundle_too_large", message, {
    unchanged: bundleUnchanged,
    fix: "Leave out what the app does not need, with `exclude` in cutover.yml, or raise `limits.bundle` in agent.yml.",
  });
}

function refuseExisting(layout: AppLayout, release: string): void {
  if (!existsSync(layout.release(release))) return;
  throw new CutoverError("release_exists", `The host already has a release ${release}.`, {
    unchanged: bundleUnchanged,
    fix: "Pack again: each bundle gets an id of its own. To start the existing release again, use `redeploy`.",
  });
}
