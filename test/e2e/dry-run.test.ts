import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { runAction } from "../harness/action.ts";
import { offlinePip, repository, systemPath } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";

const shop = "test/fixtures/shop";

/** The step of ci.yml that runs the Action, and the one after it. */
function stepsOfCi(): { inputs: Record<string, string>; check: string } {
  const { steps } = parse(readFileSync(join(repository, ".github/workflows/ci.yml"), "utf8")).jobs.action;
  const index = steps.findIndex(({ uses }: { uses?: string }) => uses === "./");
  return { inputs: steps[index].with, check: steps[index + 1].run };
}

test("the dry run of ci.yml succeeds here too, and its check refuses every wrong output", async () => {
  await using scratch = new Scratch("dry-run");
  const temp = join(scratch.path, "temp");
  mkdirSync(temp);
  cpSync(join(repository, shop), join(scratch.path, shop), { recursive: true });
  const { inputs, check } = stepsOfCi();
  const env = { ...(await offlinePip()), RUNNER_TEMP: temp };
  const { exitCode, outputs } = await runAction({ inputs, cwd: scratch.path, env });
  expect(exitCode).toBe(0);

  const names = Object.entries(outputs).map(([name, value]) => [name.toUpperCase(), value]);
  const checked = (change: Record<string, string>) =>
    runProgram(["bash", "-e", "-c", check], {
      cwd: repository,
      env: { PATH: systemPath, ...Object.fromEntries(names), ...change },
    });
  expect(await checked({})).toEqual({ code: 0, stdout: "", stderr: "" });
  const wrong = { RELEASE: "", DIGEST: "sha256:0", URL: "http://x/", RESULT: "", BUNDLE: join(repository, "LICENSE") };
  for (const [name, value] of Object.entries(wrong)) {
    const { code, stderr } = await checked({ [name]: value });
    expect(code, name).toBe(1);
    expect(stderr, name).toContain(`check-dry-run: the output ${name.toLowerCase()} `);
  }
});
