import { expect, test } from "vitest";
import { readConfig } from "../../../action/project/config.ts";
import { readRequirements } from "../../../action/python/requirements.ts";
import { refusalCode, Workspace } from "../workspace.ts";

/** A repository can hold a link to a device. Reading it would take all memory, and nothing could cancel the job. */

test("cutover.yml that is a link to what has no end is refused", async () => {
  using space = new Workspace();
  space.link("cutover.yml", "/dev/zero");
  expect(await refusalCode(() => readConfig(space.path, "cutover.yml"))).toBe("path_not_allowed");
});

test("requirements that lead to what has no end are read no further", () => {
  using space = new Workspace({ "requirements.txt": "flask\n-r endless.txt\n" });
  space.link("endless.txt", "/dev/zero");
  const read = { directory: space.path, requirements: ["requirements.txt"], arguments: [], env: {} };
  expect(readRequirements(read).complete).toBe(true);
});
