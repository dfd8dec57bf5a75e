import type { Config } from "../../../shared/config.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Manifest } from "../../../shared/manifest.ts";
import type { DeployRequest } from "../../contracts/service.ts";
import { assertHostPolicy } from "../../host-policy.ts";
import { type DeployContext, reach } from "../context.ts";
import { freeSpaceFor } from "../retention/disk-space.ts";
import { type AppState, addRelease, findRelease, openJournal } from "../state.ts";
import { assertNotOlder } from "./run-order.ts";

const unchanged = "Nothing was unpacked; the live release goes on serving.";

/**
 * From the body of a call to a release on disk, every byte of which the token names.
 * @throws CutoverError older_than_live, bundle_*, base_unusable, manifest_mismatch, release_exists, disk_full, and what the host does not allow
 */
export async function acceptBundle(context: DeployContext, request: DeployRequest): Promise<Manifest> {
  const { ports, state, deployment } = context;
  const { base } = request;
  assertNotOlder(state, request);
  if (base !== undefined) assertBase(state, base);
  const freeSpace = freeSpaceFor(context, base);
  // Before the body is asked for: a sender that waits for that then sends nothing that is thrown away.
  if (request.length !== undefined) await ports.releases.assertSpace(state.app, request.length, freeSpace);
  const { manifest } = await ports.releases.unpack(state.app, request.body(), {
    signal: deployment.signal,
    base,
    freeSpace,
    accept: async (manifest, digest) => {
      acceptManifest(context, request, manifest, digest);
      await assertReady(context, manifest.release, manifest.config);
      await ports.privileged.prepareApp(state.app);
      addRelease(state, manifest, digest, { run: request.by.run, firstHost: request.firstHost });
      openJournal(state, deployment.record, { run: manifest.release, ownsRelease: true });
      await reach(context, "verified");
    },
  });
  await reach(context, "unpacked");
  return manifest;
}

/**
 * The manifest of a release that was unpacked before the agent was restarted. It must still be the one that the token was
 * signed for, and still be allowed: the host's settings may have changed, and an earlier agent gave a release to the app's user.
 * @throws CutoverError manifest_mismatch, and what the host does not allow
 */
export async function acceptedManifest(context: DeployContext, release: string): Promise<Manifest> {
  const { ports, state, settings } = context;
  const { digest } = await ports.releases.files(state.app, release);
  if (digest !== findRelease(state, release)?.digest) {
    throw new CutoverError("manifest_mismatch", `The manifest of ${release} was changed on the host.`, {
      unchanged: "The live release goes on serving.",
      fix: "Deploy again: a new release gets its files from the bundle.",
    });
  }
  const manifest = await ports.releases.manifest(state.app, release);
  assertHostPolicy(manifest.config, settings);
  await assertReady(context, release, manifest.config);
  return manifest;
}

/**
 * Asked first, so that no build and no release command runs for a deploy that must fail.
 * @throws CutoverError supervisor_*, nginx_*, and others
 */
export async function assertReady({ ports, state }: DeployContext, run: string, config: Config): Promise<void> {
  await ports.privileged.checkSite(state.app, config);
  // Any answer will do: supervisord is there.
  await ports.privileged.programs(state.app, run);
}

/** A thin bundle may take files only from a release that came to its end. Others may be removed at any time. */
function assertBase(state: AppState, base: string): void {
  const record = findRelease(state, base);
  if (record !== undefined && ["live", "good", "staged"].includes(record.state)) return;
  const how = record === undefined ? "is not on this host" : `is ${record.state}`;
  throw new CutoverError("base_unusable", `The bundle leaves out files of the release ${base}, which ${how}.`, {
    unchanged,
    fix: "Send the whole bundle, as the Action then does by itself.",
  });
}

/** Whether this bundle may become a release here. Nothing has been written yet. */
function acceptManifest(
  { state, settings, deployment }: DeployContext,
  request: DeployRequest,
  manifest: Manifest,
  digest: string,
): void {
  if (request.digest !== undefined && request.digest !== digest) {
    throw new CutoverError("manifest_mismatch", "The bundle's manifest is not the one that the token was signed for.", {
      unchanged,
      fix: "Sign a token for the digest of this bundle: the `digest` output of the Action.",
    });
  }
  if (manifest.app !== state.app || manifest.config.app !== state.app) {
    throw new CutoverError("manifest_mismatch", `The bundle is for the app ${manifest.app}, not for ${state.app}.`, {
      unchanged,
      fix: "Set `app` in cutover.yml to the name that the host knows.",
    });
  }
  assertHostPolicy(manifest.config, settings);
  const known = findRelease(state, manifest.release);
  if (known !== undefined && known.state !== "failed") {
    throw new CutoverError(
      "release_exists",
      `The host already has a release ${manifest.release}, and it is ${known.state}.`,
      {
        unchanged,
        fix:
          known.digest === digest
            ? "Use `activate` or `redeploy` to give it traffic, or pack again for a new release."
            : "Pack again: another bundle took this release id.",
      },
    );
  }
  deployment.named(manifest.release);
}
