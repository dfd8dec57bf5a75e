import { chmodSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { ReleaseDirectories } from "../../../agent/host/bundle/releases.ts";
import { linkBytecode } from "../../../agent/host/python/bytecode.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { bytecodeName } from "../../../agent/host/store/objects.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import { Scratch } from "../../harness/scratch.ts";

test("T3 bytecode is not kept by way of a directory in which the app's user writes", async () => {
  await using scratch = new Scratch("bytecode");
  const { bytes, manifest } = makeBundle({
    files: { "app/shop/a.py": "a = 1\n", "app/open/b.py": "b = 1\n" },
    config: { shared: [{ path: "shop/__pycache__/" }] },
  });
  const layout = appLayout(scratch.path, "shop");
  const shared = join(layout.shared, "shop/__pycache__");
  mkdirSync(shared, { recursive: true });
  chmodSync(shared, 0o777);
  const releases = new ReleaseDirectories({ data: scratch.path, limits: { bundle: 1e9, free: 0 } });
  const { signal } = new AbortController();
  await releases.unpack("shop", Readable.from([bytes]), { accept: async () => undefined, signal });
  const compile = async ({ paths }: { paths: string[] }) => paths.map(() => Buffer.from("bytecode"));

  await linkBytecode({ manifest, layout, cacheTag: "cpython-311", jobs: 1, compile, signal });

  const kept = (path: string) => {
    const sha256 = manifest.files.find((file) => file.path === path)?.sha256 ?? "";
    return existsSync(join(layout.objects, bytecodeName(sha256, "cpython-311")));
  };
  expect(readdirSync(shared)).toEqual([]);
  expect([kept("app/shop/a.py"), kept("app/open/b.py")]).toEqual([false, true]);
});
