import type { TrustView } from "../../../shared/protocol.ts";
import { safe } from "./terminal.ts";

type Entry = TrustView["trust"][number];

/** Whom an app trusts, as a list: the names in its settings, and the ids that are accepted. */
export function renderTrust({ app, trust }: TrustView): string {
  if (trust.length === 0)
    return `Nobody may deploy ${app} over the network: its settings trust no repository and no key.`;
  return trust
    .map(
      (entry) =>
        `${safe(headOf(entry))}\n${detailsOf(entry)
          .map((line) => `  ${safe(line)}\n`)
          .join("")}`,
    )
    .join("\n");
}

function headOf({ key, github, comment }: Entry): string {
  const what = github === undefined ? `key ${key}` : `github ${github.repository}`;
  return comment === undefined ? what : `${what} (${comment})`;
}

function detailsOf({ github, expires, allow }: Entry): string[] {
  const last = expires === undefined ? [] : [`expires: after ${expires}`];
  return [...(github === undefined ? [] : repositoryLines(github)), ...last, `may: ${allow.join(", ")}`];
}

function repositoryLines(github: NonNullable<Entry["github"]>): string[] {
  const { repository_id, owner_id, learnt, environment, ref, workflow, job_workflow, runner, events } = github;
  const source = learnt === undefined ? "" : `, learnt ${learnt}: no others are accepted`;
  const ids =
    repository_id === undefined || owner_id === undefined
      ? "ids: those of the first accepted call; until then only the name is checked"
      : `ids: repository ${repository_id}, owner ${owner_id}${source}`;
  return [
    ids,
    ...(environment === undefined ? [] : [`environment: ${environment}`]),
    ...(ref === undefined ? [] : [`ref: ${ref}`]),
    ...(github.any_ref === true ? ["from every branch, tag and environment"] : []),
    ...(workflow === undefined ? [] : [`workflow: ${workflow}`]),
    ...(job_workflow === undefined ? [] : [`job_workflow: ${job_workflow}`]),
    ...(runner === undefined ? [] : [`runner: ${runner}`]),
    ...(github.ref_protected === true ? ["only protected branches and tags"] : []),
    // An older agent says nothing if the file does not.
    ...(events === undefined ? [] : [`events: ${events.join(", ")}`]),
    `issuer: ${github.issuer}`,
  ];
}
