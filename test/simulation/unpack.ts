import type { UnpackOptions } from "../../agent/contracts/ports.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { SimManifest } from "./bundle.ts";
import type { AppDisk } from "./disk.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";

/** The body of an upload: the simulated host reads what it is, and not its bytes. */
export interface Upload {
  manifest: SimManifest;
  digest: string;
}

/** By agent/host/bundle/releases.ts: a release of two contents, of which one is in all releases. */
export async function unpack(
  { host, effects, upload }: { host: Host; effects: Effects; upload: Upload | undefined },
  app: string,
  { accept, signal }: UnpackOptions,
): Promise<Upload> {
  if (upload === undefined) throw new Error("no upload has this body");
  const { manifest, digest } = upload;
  const { fault } = manifest.behaviour;
  const disk = host.disk(app);
  await effects.wait(host.chances.of("upload").int(400));
  signal.throwIfAborted();
  await accept(manifest, fault === "digest" ? `sha256:${"f".repeat(64)}` : digest);
  if (disk.unsynced) await collectObjects(disk, effects);
  await effects.look(() => {
    disk.unsynced = true;
  });
  const objects = ["the same in all releases", digest];
  for (const name of objects) await write(disk, effects, name);
  await effects.wait(host.chances.of("upload").int(400));
  signal.throwIfAborted();
  if (fault === "torn") throw new CutoverError("bundle_truncated", "The bundle ended early.");
  if (disk.releases.has(manifest.release)) throw new CutoverError("release_exists", "The host already has it.");
  await effects.do("release.rename", app, () => {
    const whole = objects.every((name) => disk.objects.get(name)?.torn === false);
    disk.releases.set(manifest.release, { manifest, digest, synced: false, whole, objects });
  });
  return upload;
}

/** What the store has is linked, and what it does not have becomes an object. */
async function write(disk: AppDisk, effects: Effects, name: string): Promise<void> {
  await effects.do("object.write", disk.app, () => {
    if (!disk.objects.has(name)) disk.objects.set(name, { synced: false, torn: false });
  });
}

/** By agent/host/store/objects.ts: one after the other. */
export async function collectObjects(disk: AppDisk, effects: Effects): Promise<void> {
  for (const name of disk.unused()) await effects.do("object.collect", disk.app, () => disk.objects.delete(name));
}
