import { z } from "zod";
import { trustedUrl } from "./settings-values.ts";

/** `trust` in apps/<app>.yml: whose tokens count for an app, under which conditions, and for what. */

export const grant = z.enum(["deploy", "activate", "redeploy", "rollback", "abort", "read"]);
export type Grant = z.output<typeof grant>;

/** Names are reused, ids never. */
const githubId = z
  .string({ error: 'an id in quotes, such as "1296269"' })
  .regex(/^\d{1,20}$/, 'an id of digits, such as "1296269"');

const wholeRef = String.raw`refs/(?:heads|tags)/[^\s*?[\]\\^~:]{1,250}`;
const file = String.raw`\.github/workflows/[^/\s@*?]{1,200}\.ya?ml`;
const workflowFile = new RegExp(`^${file}(?:@${wholeRef})?$`);
const jobWorkflowFile = new RegExp(`^[A-Za-z0-9-]{1,64}/[A-Za-z0-9._-]{1,100}/${file}@(?:${wholeRef}|[0-9a-f]{40})$`);

/** One repository of GitHub, and which of its jobs. Everything that is given must be equal; nothing is a pattern. */
const githubTrust = z
  .strictObject({
    repository: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,64}\/[A-Za-z0-9._-]{1,100}$/, "owner/name")
      .describe("`owner/name`, spelled exactly as GitHub does."),
    repository_id: githubId.optional().meta({
      description: "GitHub's id of the repository. Ids outlive a name and are never reused.",
      absent: "learnt at the first accepted call",
    }),
    owner_id: githubId
      .optional()
      .meta({ description: "GitHub's id of its owner.", absent: "learnt at the first accepted call" }),
    environment: z.string().min(1).max(255).optional().describe("Only jobs of this environment."),
    ref: z
      .string()
      .regex(/^refs\/(?:heads|tags)\/[^\s*?[\]\\^~:]{1,250}$/, "a whole ref without patterns, such as refs/heads/main")
      .optional()
      .describe("Only this branch or tag, such as `refs/heads/main`. With `environment` both must match."),
    any_ref: z
      .boolean()
      .default(false)
      .describe("Every branch, tag and environment. Otherwise one of the two above is required."),
    workflow: z
      .string()
      .regex(
        workflowFile,
        "a file such as .github/workflows/deploy.yml, or with @ and a whole ref: ...@refs/heads/main",
      )
      .optional()
      .describe(
        "Only this workflow file of the repository, such as `.github/workflows/deploy.yml`. With `@refs/heads/main` only the file as that branch or tag has it.",
      ),
    job_workflow: z
      .string()
      .regex(jobWorkflowFile, "owner/name/.github/workflows/file.yml@ and a whole ref or commit")
      .optional()
      .describe(
        "Only jobs that are written in this file: for a reusable workflow `owner/name/.github/workflows/deploy.yml@refs/tags/v1`, exactly as the caller writes its ref; `@` and a whole commit id counts too.",
      ),
    runner: z
      .enum(["github-hosted", "self-hosted"])
      .optional()
      .describe("Only jobs on such a runner: `github-hosted` or `self-hosted`."),
    ref_protected: z.boolean().default(false).describe("Only a branch or tag that the repository's rules protect."),
    events: z
      .array(z.string().regex(/^[a-z_]{1,40}$/, "an event such as push"))
      .min(1)
      .default(["push", "workflow_dispatch", "release", "schedule", "deployment"])
      .describe("The events that may start the workflow."),
    issuer: trustedUrl
      .optional()
      .meta({ description: "Which GitHub: one of agent.yml's `github`.", absent: "the first of them" }),
  })
  .refine(({ environment, ref, any_ref }) => any_ref !== (environment !== undefined || ref !== undefined), {
    error: "needs environment or ref, or `any_ref: true` for every branch of the repository",
  });
export type GithubTrust = z.output<typeof githubTrust>;

/** Whose tokens count for an app, and for what. */
export const trusted = z
  .strictObject({
    key: z
      .string()
      .regex(/^ed25519:[A-Za-z0-9_-]{43}$/, "ed25519: and 43 characters, as `cutover keygen` prints")
      .optional()
      .describe("The public line that `cutover keygen` printed. An entry has either `github` or `key`."),
    github: githubTrust.optional(),
    expires: z.iso
      .date({ error: "a date such as 2027-06-30" })
      .optional()
      .describe("The last day on which its tokens count, in UTC, such as `2027-06-30`."),
    comment: z.string().max(200).optional().describe("A note for people."),
    allow: z.array(grant).min(1).default(["deploy", "activate", "redeploy", "rollback", "abort", "read"]).meta({
      description: "What its tokens may do: of `deploy`, `activate`, `redeploy`, `rollback`, `abort`, `read`.",
      absent: "everything",
    }),
  })
  .refine(({ key, github }) => (key === undefined) !== (github === undefined), { error: "needs either key or github" });
export type Trusted = z.output<typeof trusted>;
