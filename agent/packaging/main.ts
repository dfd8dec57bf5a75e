import { parseArgs } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { sourceDate } from "./date.ts";
import { architectures } from "./node.ts";
import { makePackage } from "./package.ts";

/** `npm run package`: makes the Debian packages. */
const { values } = parseArgs({
  options: {
    /** amd64 or arm64; default: both. */
    architecture: { type: "string" },
    into: { type: "string", default: "dist" },
    /** `none` takes one second, `xz` half a minute. */
    compression: { type: "string", default: "xz" },
  },
});

for (const architecture of Object.keys(architectures) as (keyof typeof architectures)[]) {
  if ((values.architecture ?? architecture) !== architecture) continue;
  const compression = values.compression === "none" ? "none" : "xz";
  const made = await makePackage({
    version: packageJson.version,
    architecture,
    date: sourceDate(),
    into: values.into,
    compression,
  });
  process.stdout.write(`${made}\n`);
}
