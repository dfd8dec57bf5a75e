import type { JWTPayload } from "jose";
import { z } from "zod";
import type { Actor } from "../../../shared/protocol.ts";
import type { RepositoryIds } from "../../contracts/token-stores.ts";
import type { GithubTrust } from "../../settings-trust.ts";
import { Refusal, short } from "./refusal.ts";
import { workflowRunOf } from "./workflow-run.ts";

const text = z.string().min(1).max(400);
/** A repository, a path and a ref. */
const longText = z.string().min(1).max(1000);
const id = z.string().regex(/^\d{1,20}$/);

/** The claims of GitHub's ID tokens that cutover reads. Ids are strings there. */
const githubClaims = z.object({
  repository: z.string().regex(/^[A-Za-z0-9-]{1,64}\/[A-Za-z0-9._-]{1,100}$/),
  repository_id: id,
  repository_owner_id: id,
  event_name: text,
  ref: text,
  /** Only if the job has one. */
  environment: text.optional(),
  actor: text,
  run_id: id,
  run_attempt: id.optional(),
  run_number: id.optional(),
  /** These are absent in the tokens of old GHES. A condition on one that is absent is not met. */
  workflow_ref: longText.optional(),
  job_workflow_ref: longText.optional(),
  runner_environment: text.optional(),
  ref_protected: text.optional(),
});
export type GithubClaims = z.output<typeof githubClaims>;

/** @throws Refusal claim_invalid */
export function readGithubClaims(claims: JWTPayload): GithubClaims {
  const result = githubClaims.safeParse(claims);
  if (result.success) return result.data;
  const [claim = ""] = result.error.issues[0]?.path ?? [];
  throw new Refusal("claim_invalid", { claim, got: short(claims[String(claim)]) });
}

/** The first condition of a trust entry that a token does not meet. */
export interface Difference {
  /** As the host's owner wrote it. */
  condition: keyof GithubTrust | "expires";
  /** Of the token; absent if the condition is about none. */
  claim?: keyof GithubClaims;
  expected: string;
  got: string;
}

/** What an entry demands of a claim: the condition, the claim, and the value that it must have. */
type Demand = [condition: keyof GithubTrust, claim: keyof GithubClaims, value: string | undefined];

/** @param learnt the ids of a repository that is trusted by name; undefined before its first call */
export function difference(
  trust: GithubTrust,
  claims: GithubClaims,
  learnt: RepositoryIds | undefined,
): Difference | undefined {
  const demands: Demand[] = [
    ["repository", "repository", trust.repository],
    ["repository_id", "repository_id", trust.repository_id ?? learnt?.repository_id],
    ["owner_id", "repository_owner_id", trust.owner_id ?? learnt?.owner_id],
    ["environment", "environment", trust.environment],
    ["ref", "ref", trust.ref],
    ["job_workflow", "job_workflow_ref", trust.job_workflow],
    ["runner", "runner_environment", trust.runner],
    ["ref_protected", "ref_protected", trust.ref_protected ? "true" : undefined],
  ];
  for (const [condition, claim, value] of demands) {
    const got = claims[claim];
    if (value !== undefined && got !== value) return { condition, claim, expected: value, got: short(got ?? "(none)") };
  }
  return workflowDifference(trust, claims) ?? eventDifference(trust, claims);
}

/** Without a ref, the file counts as any branch has it. */
function workflowDifference(
  { repository, workflow }: GithubTrust,
  { workflow_ref: got = "(none)" }: GithubClaims,
): Difference | undefined {
  if (workflow === undefined) return undefined;
  const expected = `${repository}/${workflow}`;
  const same = workflow.includes("@") ? got === expected : got.startsWith(`${expected}@`);
  return same ? undefined : { condition: "workflow", claim: "workflow_ref", expected, got: short(got) };
}

/** A pull request may run a stranger's code, and other events may run it with a stranger's data. */
function eventDifference({ events }: GithubTrust, { event_name: got }: GithubClaims): Difference | undefined {
  if (events.includes(got)) return undefined;
  return { condition: "events", claim: "event_name", expected: events.join(" or "), got: short(got) };
}

/** For people to read. The server comes from agent.yml; the rest of the address is digits and a checked name. */
export function githubActor(claims: GithubClaims, server: string): Actor {
  const { repository, ref, actor, run_id, run_attempt } = claims;
  const attempt = run_attempt === undefined ? "" : `/attempts/${run_attempt}`;
  return {
    subject: `${repository}@${ref} by ${actor}`.slice(0, 300),
    repository,
    run_url: `${server}/${repository}/actions/runs/${run_id}${attempt}`,
    run: workflowRunOf(claims),
  };
}

/** A trust entry in the audit log, which is read long after the settings have changed. */
export function describeGithub({ repository, any_ref, ref_protected, ...trust }: GithubTrust): string {
  const { environment, ref, workflow, job_workflow, runner } = trust;
  const conditions = { environment, ref, workflow, job_workflow, runner };
  const given = Object.entries(conditions).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  const protectedOnly = ref_protected ? ["protected refs"] : [];
  return [`github ${repository}`, ...given, ...(any_ref ? ["any ref"] : []), ...protectedOnly].join(", ");
}
