import { lstatSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { makeReadOnly } from "../../../../agent/host/ownership/read-only.ts";
import { linkBytecode } from "../../../../agent/host/python/bytecode.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { makeBundle } from "../../../fixtures/bundle.ts";

/** What an embedded agent does with a release as an ordinary user, and what its app then tries. Prints what came of it. */
const [, , data = ""] = process.argv;
const { bytes, manifest } = makeBundle({
  files: { "app/shop/a.py": "a = 1\n", "app/run.sh": { content: "", mode: 0o755 } },
});
const releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 }, readOnly: true });
const layout = appLayout(data, "shop");
const { signal } = new AbortController();
await releases.unpack("shop", Readable.from([bytes]), { accept: async () => undefined, signal });
await makeReadOnly(layout.release(manifest.release));
const compile = async ({ paths }: { paths: string[] }) => paths.map(() => Buffer.from("bytecode"));
const { compiled } = await linkBytecode({ manifest, layout, cacheTag: "cpython-311", jobs: 1, compile, signal });

const code = (path: string) => {
  try {
    writeFileSync(join(layout.app(manifest.release), path), "changed");
    return "written";
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code;
  }
};
const tried = ["shop/a.py", "run.sh", "new.py", "shop/new.py"].map(code);
await releases.remove("shop", manifest.release);
const modes = readdirSync(layout.objects, { recursive: true, encoding: "utf8" })
  .filter((path) => path.includes("/"))
  .map((path) => lstatSync(join(layout.objects, path)))
  .filter((status) => status.isFile())
  .map(({ mode }) => (mode & 0o777).toString(8));
await releases.prune("shop");
const left = [...readdirSync(layout.releases), ...readdirSync(layout.objects)];
process.stdout.write(JSON.stringify({ compiled, tried, modes: modes.toSorted(), left }));
