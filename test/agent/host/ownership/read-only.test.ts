import { chmodSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { node, repository, systemPath } from "../../../harness/places.ts";
import { runProgram } from "../../../harness/run.ts";
import { users } from "../../../harness/two-processes.ts";
import { scratch } from "../scratch.ts";

const asOther =
  process.geteuid?.() === 0 ? ["setpriv", "--reuid", users.app, "--regid", "nogroup", "--clear-groups", "--"] : [];

test("in embedded mode a project cannot write into its release, which the same user made and removes", async () => {
  const data = scratch();
  chmodSync(data, 0o777);
  const argv = [...asOther, node, join(repository, "test/agent/host/ownership/ordinary-user.ts"), data];
  const { code, stdout, stderr } = await runProgram(argv, { env: { PATH: systemPath } });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    compiled: 1,
    tried: ["EACCES", "EACCES", "EACCES", "EACCES"],
    // Two files and one bytecode; nothing of the removed release made them writable.
    modes: ["444", "444", "555"],
    left: [],
  });
});
