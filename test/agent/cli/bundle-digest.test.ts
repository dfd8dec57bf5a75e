import { expect, test } from "vitest";
import { bundleDigest } from "../../../agent/cli/bundle-digest.ts";
import { makeManifestDelta, manifestDeltaName } from "../../../shared/manifest-delta.ts";
import { Workspace } from "../../action/workspace.ts";
import { makeBundle } from "../../fixtures/bundle.ts";

const base = makeBundle({ release: "20261121T103000Z-3f2c1ab" });
const whole = makeBundle({ release: "20261121T110000Z-3f2c1ac" });

function thin(content: Buffer) {
  const changeEntries = () => [{ path: manifestDeltaName, content }];
  return makeBundle({ release: whole.manifest.release, base: base.manifest, changeEntries }).bytes;
}

test("the digest is that of the manifest, also of one that is only what changed", async () => {
  using space = new Workspace();
  const delta = makeManifestDelta(whole.manifest, { digest: base.digest, files: base.manifest.files });
  space.write("whole.tar.zst", whole.bytes);
  space.write("thin.tar.zst", thin(delta ?? Buffer.alloc(0)));
  expect(await bundleDigest(space.at("whole.tar.zst"))).toBe(whole.digest);
  expect(await bundleDigest(space.at("thin.tar.zst"))).toBe(whole.digest);
});

test("a difference that names none is refused", async () => {
  using space = new Workspace();
  space.write("thin.tar.zst", thin(Buffer.from('{"digest":"sha256:no"}\n')));
  await expect(bundleDigest(space.at("thin.tar.zst"))).rejects.toMatchObject({ code: "bundle_invalid" });
});
