import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { sourceDate } from "./date.ts";
import { writeReleaseFiles } from "./release-files.ts";
import { releaseNotes } from "./release-notes.ts";

/**
 * `npm run release -- v1.2.3` checks that a tag may be released and prints its notes; with `--into dist` it writes them and
 * the other files of a release there, next to the packages. It publishes nothing.
 */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { into: { type: "string" } }, allowPositionals: true });
  const [tag] = positionals;
  if (tag === undefined) throw new Error("give the tag, such as v1.2.3");
  const { version } = packageJson;
  const notes = releaseNotes({ tag, version, changelog: await readFile("CHANGELOG.md", "utf8") });
  if (values.into === undefined) process.stdout.write(notes);
  else await writeReleaseFiles({ directory: values.into, version, notes, date: sourceDate() });
}

try {
  await main();
} catch (error) {
  process.stderr.write(`release: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
