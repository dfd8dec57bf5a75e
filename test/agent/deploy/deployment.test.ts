import { expect, test } from "vitest";
import { newDeploymentId } from "../../../agent/deploy/deployment.ts";
import { deploymentId } from "../../../shared/audience.ts";

test("a deployment's id can be given on a command line: none looks like an option", () => {
  const ids = Array.from({ length: 5000 }, newDeploymentId);
  for (const id of ids) expect(deploymentId.safeParse(id).success).toBe(true);
  expect(ids.filter((id) => id.startsWith("-"))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
});
