import { spawnSync } from "node:child_process";
import { parse } from "yaml";
import { z } from "zod";

const stepSchema = z.object({
  uses: z.string().optional(),
  run: z.string().optional(),
  shell: z.string().optional(),
  with: z.record(z.string(), z.unknown()).default({}),
});

const permissionsSchema = z.union([z.string(), z.record(z.string(), z.string())]).optional();

const jobSchema = z.object({
  uses: z.string().optional(),
  needs: z.union([z.string(), z.array(z.string())]).optional(),
  "runs-on": z.string().optional(),
  "timeout-minutes": z.number().optional(),
  permissions: permissionsSchema,
  secrets: z.unknown().optional(),
  steps: z.array(stepSchema).default([]),
});

const workflowSchema = z.object({
  on: z.record(z.string(), z.unknown()),
  permissions: permissionsSchema,
  defaults: z.object({ run: z.object({ shell: z.string() }) }).optional(),
  jobs: z.record(z.string(), jobSchema),
});

export type Workflow = z.infer<typeof workflowSchema>;
type Job = z.infer<typeof jobSchema>;
type Step = z.infer<typeof stepSchema>;

/** @throws ZodError for a workflow without the parts that the rules look at */
export function parseWorkflow(text: string): Workflow {
  return workflowSchema.parse(parse(text));
}

/** The rules of this repository that a workflow breaks, each as one sentence. A valid workflow may break them. */
export function brokenRules(text: string): string[] {
  const workflow = parseWorkflow(text);
  return [
    ...unpinnedActions(text),
    ...workflowRules(workflow),
    ...Object.entries(workflow.jobs).flatMap(([name, job]) => jobRules(job).map((rule) => `${name}: ${rule}`)),
  ];
}

function workflowRules({ on, permissions, defaults }: Workflow): string[] {
  const broken: string[] = [];
  // Each job gets what it needs, and a new job gets nothing until somebody thinks about it.
  if (JSON.stringify(permissions) !== "{}") broken.push("permissions of the workflow must be {}");
  // In a container the default is sh, which goes on after the first command of a pipe has failed.
  if (defaults?.run.shell !== "bash") broken.push("defaults.run.shell must be bash, which fails with its pipes");
  // Those run foreign code with the rights and secrets of this repository.
  for (const event of ["pull_request_target", "workflow_run"]) {
    if (event in on) broken.push(`the event ${event} is not allowed`);
  }
  return broken;
}

function jobRules(job: Job): string[] {
  const broken: string[] = [];
  if (typeof job.permissions !== "object") broken.push("permissions must be listed");
  if (job.secrets !== undefined) broken.push("secrets must not be handed to another workflow");
  // A job that calls a workflow has the limits and the runners of that one.
  if (job.uses === undefined && job["timeout-minutes"] === undefined) broken.push("timeout-minutes must be set");
  if (job["runs-on"]?.endsWith("-latest")) broken.push("runs-on must name a version");
  return [...broken, ...job.steps.flatMap(stepRules)];
}

function stepRules({ uses, run, shell, with: inputs }: Step): string[] {
  const broken: string[] = [];
  if (uses?.startsWith("actions/checkout@") && inputs["persist-credentials"] !== false) {
    broken.push("actions/checkout must have persist-credentials: false");
  }
  if (run === undefined) return broken;
  if (shell !== undefined) broken.push("shell must be the workflow's");
  // What an expression gives becomes part of the script. A variable of `env` does not.
  if (run.includes("${{")) broken.push("run must have no expression: pass it in env");
  const { status, stderr } = spawnSync("bash", ["-n"], { input: run, encoding: "utf8" });
  if (status !== 0) broken.push(`run is no valid script: ${stderr.trim()}`);
  return broken;
}

/** A tag can be moved to other code, a commit's hash cannot. The comment tells people and Dependabot the version. */
function unpinnedActions(text: string): string[] {
  return usesOf(text)
    .filter(({ action }) => !action.startsWith("./"))
    .filter(({ action, comment }) => !/@[0-9a-f]{40}$/.test(action) || !/^# v\d+\.\d+\.\d+$/.test(comment))
    .map(({ action }) => `${action} must have a commit's whole hash and its version as a comment`);
}

export interface UsedAction {
  /** Such as `actions/checkout@` and a hash. */
  action: string;
  /** What follows on the line. */
  comment: string;
}

/** Every `uses` of a workflow, from its text, since a parser drops the comments. */
export function usesOf(text: string): UsedAction[] {
  const uses = text.matchAll(/^[ -]*uses: *(\S+) *(.*)$/gm);
  return [...uses].map(([, action = "", comment = ""]) => ({ action, comment }));
}
