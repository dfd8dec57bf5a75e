import { createHash } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { relative } from "node:path";
import { alwaysExcluded, walkFiles } from "../project/walk.ts";

/** What building leaves in a directory of source code. It would change the digest of what was built. */
const leftovers = ["/build/", "/dist/", "*.egg-info", "/.eggs/"];

/**
 * A digest of the source code in a directory, as a build sees it.
 * @returns undefined if it cannot be read, or leads elsewhere
 */
export function sourceDigest(directory: string): string | undefined {
  try {
    const root = realpathSync(directory);
    const files = walkFiles({ root, directory: root, area: "app", exclude: [...alwaysExcluded, ...leftovers] });
    const sum = createHash("sha256");
    for (const { source, mode } of files.toSorted((a, b) => (a.source < b.source ? -1 : 1))) {
      const content = readFileSync(source);
      sum.update(`${relative(root, source)}\0${mode}\0${content.length}\0`).update(content);
    }
    return sum.digest("hex");
  } catch {
    return undefined;
  }
}
