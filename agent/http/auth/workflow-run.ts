import { z } from "zod";
import type { WorkflowRun } from "../../../shared/protocol.ts";

const digits = z.string().regex(/^\d{1,15}$/);
const named = z.object({
  /** `owner/name/.github/workflows/file.yml@refs/heads/main`. The file's path ends at the first `.yml@`. */
  workflow_ref: z.string().max(1000),
  run_number: digits,
  run_attempt: digits.default("1"),
});

/**
 * Which run of which workflow the claims name, from GitHub's token or as the Action writes them into one that a key signs;
 * undefined if they do not. Runs are numbered for each workflow file, over all branches, so the ref does not belong to its name.
 */
export function workflowRunOf(claims: object): WorkflowRun | undefined {
  const { data } = named.safeParse(claims);
  const workflow = data && /^.+?\.ya?ml(?=@)/.exec(data.workflow_ref)?.[0];
  if (data === undefined || workflow === undefined) return undefined;
  return { workflow, number: Number(data.run_number), attempt: Number(data.run_attempt) };
}
