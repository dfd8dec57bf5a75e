import { claims, type Mutation, mutation } from "./mutation.ts";

/** A claim of a genuine token of GitHub is not what the host's owner wrote. */
function differs(name: string, claim: string, got: unknown, expected: string): Mutation {
  return claims(name, "identity_mismatch", () => ({ [claim]: got }), { claim, expected });
}

/** It is not what GitHub writes at all. */
function noClaim(name: string, claim: string, got: unknown): Mutation {
  return claims(name, "claim_invalid", () => ({ [claim]: got }), { claim });
}

/** The events that count unless the host's owner lists others. */
const usual = "push or workflow_dispatch or release or schedule or deployment";

/** Only GitHub's: the app trusts acme/shop by its ids, in the environment production. */
export const githubMutations: Mutation[] = [
  differs("another repository of the same name", "repository_id", "9999999", "1296269"),
  differs("another owner of the same name", "repository_owner_id", "9999999", "583231"),
  differs("the repository renamed", "repository", "acme/store", "acme/shop"),
  differs("the repository in capitals", "repository", "Acme/Shop", "acme/shop"),
  differs("a fork", "repository", "mallory/shop", "acme/shop"),
  noClaim("a repository that only looks alike", "repository", "acme/sh\u043ep"),
  noClaim("a repository with a slash more", "repository", "acme/shop/"),
  noClaim("a repository that is a list", "repository", ["acme/shop"]),
  noClaim("no repository", "repository", undefined),
  noClaim("a repository's id that is a number", "repository_id", 1296269),
  noClaim("an owner's id that is a number", "repository_owner_id", 583231),
  noClaim("no repository's id", "repository_id", undefined),
  noClaim("a repository's id with a space", "repository_id", "1296269 "),
  differs("a repository's id with a zero before it", "repository_id", "01296269", "1296269"),
  noClaim("a run's id that is a path", "run_id", "1/../../evil"),
  differs("pull_request", "event_name", "pull_request", usual),
  differs("pull_request_target", "event_name", "pull_request_target", usual),
  differs("pull_request_review", "event_name", "pull_request_review", usual),
  differs("pull_request_review_comment", "event_name", "pull_request_review_comment", usual),
  differs("PULL_REQUEST", "event_name", "PULL_REQUEST", usual),
  differs("workflow_run", "event_name", "workflow_run", usual),
  differs("issue_comment", "event_name", "issue_comment", usual),
  differs("repository_dispatch", "event_name", "repository_dispatch", usual),
  differs("an event that begins alike", "event_name", "push_", usual),
  noClaim("no event", "event_name", undefined),
  differs("another environment", "environment", "staging", "production"),
  differs("an environment in capitals", "environment", "Production", "production"),
  differs("an environment that begins alike", "environment", "production-2", "production"),
  differs("an environment that only looks alike", "environment", "pr\u043eduction", "production"),
  differs("no environment, although the subject names it", "environment", undefined, "production"),
  noClaim("an environment that is a list", "environment", ["production"]),
  noClaim("no actor", "actor", undefined),
  claims("no nbf", "claim_invalid", () => ({ nbf: undefined }), { claim: "nbf" }),
  claims("the issuer of keys", "issuer_untrusted", () => ({ iss: "cutover" })),
  mutation("the issuer over plain http", "issuer_untrusted", (good) =>
    good.sign({ claims: { iss: good.issuer.replace("https:", "http:") } }),
  ),
  claims("another issuer of the host with the same keys", "issuer_untrusted", () => ({ iss: otherIssuer })),
];

/** Known to the host, and trusted for nothing. */
export const otherIssuer = "https://ghes.example.com/_services/token";

/** The app trusts the branch main instead of an environment. */
export const refMutations: Mutation[] = [
  differs("another branch", "ref", "refs/heads/develop", "refs/heads/main"),
  differs("a tag instead of the branch", "ref", "refs/tags/main", "refs/heads/main"),
  differs("the branch's short name", "ref", "main", "refs/heads/main"),
  differs("a branch that begins alike", "ref", "refs/heads/main2", "refs/heads/main"),
  differs("a branch below it", "ref", "refs/heads/main/x", "refs/heads/main"),
  differs("the branch in capitals", "ref", "refs/heads/Main", "refs/heads/main"),
  differs("a pull request's ref", "ref", "refs/pull/1/merge", "refs/heads/main"),
  noClaim("no ref", "ref", undefined),
  differs("an event that is not listed", "event_name", "workflow_run", "push or workflow_dispatch"),
];
