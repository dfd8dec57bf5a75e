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

function detailsOf({ github, allow }: Entry): string[] {
  const may = `may: ${allow.join(", ")}`;
  return github === undefined ? [may] : [...repositoryLines(github), may];
}

function repositoryLines(github: NonNullable<Entry["github"]>): string[] {
  const { repository_id, owner_id, learnt, environment, ref, events } = github;
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
    `events: ${events?.join(", ") ?? "all except pull_request*"}`,
    `issuer: ${github.issuer}`,
  ];
}
