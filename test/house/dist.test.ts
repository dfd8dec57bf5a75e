import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";
import { actionBundle } from "../../rolldown.config.ts";

test("action/dist, which GitHub's runner runs, is what the sources build", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "cutover-dist-"));
  try {
    const { output, ...input } = actionBundle;
    const build = await rolldown(input);
    const options = Array.isArray(output) ? output[0] : output;
    await build.write({ ...options, dir: scratch });
    await build.close();
    expect(readdirSync("action/dist")).toEqual(readdirSync(scratch));
    for (const file of readdirSync(scratch)) {
      const same = readFileSync(join(scratch, file)).equals(readFileSync(join("action/dist", file)));
      expect(same, `action/dist/${file} is old: run \`npm run build:action\` and commit it`).toBe(true);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
