import { keyIssuer } from "../../../shared/key.ts";
import type { IssuerKeys, PinnedRepositories, PinnedRepository } from "../../contracts/token-stores.ts";
import type { GithubTrust, Trusted } from "../../settings-trust.ts";
import type { GithubIssuer } from "../../settings-values.ts";
import { expired } from "./expiry.ts";
import {
  type Difference,
  describeGithub,
  difference,
  type GithubClaims,
  githubActor,
  readGithubClaims,
} from "./github-claims.ts";
import { Refusal, short } from "./refusal.ts";
import type { Identity, Signer } from "./signer.ts";

export interface GithubParts {
  /** Those of agent.yml; the first one counts if a trust names none. */
  issuers: readonly GithubIssuer[];
  keys: IssuerKeys;
  learnt: PinnedRepositories;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Called for each repository whose ids were learnt. */
  onLearnt(app: string, repository: PinnedRepository): void;
}

interface Entry extends Pick<Trusted, "allow" | "expires"> {
  trust: GithubTrust;
}

/** The issuers whose tokens an app trusts. */
export function trustedIssuers(trust: readonly Trusted[], { issuers }: GithubParts): string[] {
  const named = trust.flatMap(({ github }) => (github === undefined ? [] : [github.issuer ?? issuers[0]?.issuer]));
  const keys = trust.some(({ key }) => key !== undefined) ? [keyIssuer] : [];
  return [...keys, ...issuers.map(({ issuer }) => issuer).filter((issuer) => named.includes(issuer))];
}

/**
 * The signer of GitHub's ID tokens; undefined if agent.yml does not have this issuer. Whether the app trusts a repository of
 * it is asked only after the signature, so that all apps take the same time.
 */
export function githubSigner(
  app: string,
  trust: readonly Trusted[],
  iss: unknown,
  parts: GithubParts,
): Signer | undefined {
  const issuer = parts.issuers.find((each) => each.issuer === iss);
  if (typeof iss !== "string" || issuer === undefined) return undefined;
  const entries = trust.flatMap(({ github, allow, expires }): Entry[] =>
    github !== undefined && (github.issuer ?? parts.issuers[0]?.issuer) === iss
      ? [{ trust: github, allow, expires }]
      : [],
  );
  return {
    name: iss,
    issuer: iss,
    algorithm: "RS256",
    requiredClaims: ["nbf"],
    async key(kid) {
      const found = await parts.keys.find(iss, kid);
      switch (found.kind) {
        case "key":
          return found.key;
        case "unknown":
          throw new Refusal("key_unknown", { kid: short(kid), issuer: iss });
        case "unavailable":
          throw new Refusal("keys_unavailable", { issuer: iss, detail: found.detail });
      }
    },
    async identify(payload) {
      if (entries.length === 0)
        throw new Refusal("issuer_untrusted", { got: iss, trusted: trustedIssuers(trust, parts) });
      const claims = readGithubClaims(payload);
      // If the settings have all ids, nothing else counts, also not a file of learnt ids that cannot be read.
      const byName = entries.some(({ trust }) => isByName(trust));
      const learnt = byName ? await learntOf(app, parts, iss, claims.repository) : undefined;
      return identityOf(claims, entries, learnt, { app, issuer, parts });
    },
  };
}

function isByName({ repository_id, owner_id }: GithubTrust): boolean {
  return repository_id === undefined || owner_id === undefined;
}

async function learntOf(app: string, { learnt }: GithubParts, issuer: string, repository: string) {
  const all = await learnt.list(app);
  return all.find((each) => each.issuer === issuer && each.repository === repository);
}

interface About {
  app: string;
  issuer: GithubIssuer;
  parts: GithubParts;
}

/** If several entries match, each adds what it allows. */
function identityOf(
  claims: GithubClaims,
  entries: Entry[],
  learnt: PinnedRepository | undefined,
  about: About,
): Identity {
  const now = about.parts.now();
  const compared = entries.map((entry) => ({
    ...entry,
    differs: difference(entry.trust, claims, learnt) ?? expired(entry, now),
  }));
  const matching = compared.filter(({ differs }) => differs === undefined);
  if (matching.length === 0) throw mismatch(compared.flatMap(({ differs }) => differs ?? []));
  const byName = matching.some(({ trust }) => isByName(trust));
  return {
    actor: githubActor(claims, about.issuer.server),
    matched: matching.map(({ trust, allow }) => ({ trust: describeGithub(trust), allow })),
    ...(byName && learnt === undefined && { accepted: () => learn(claims, about) }),
  };
}

async function learn(claims: GithubClaims, { app, issuer, parts }: About): Promise<void> {
  const { repository, repository_id, repository_owner_id: owner_id } = claims;
  const learnt = new Date(parts.now()).toISOString();
  const found = { issuer: issuer.issuer, repository, repository_id, owner_id, learnt };
  const kept = await parts.learnt.pin(app, found);
  // Another call was faster, and its repository had the same name at another time.
  if (kept.repository_id !== repository_id) {
    throw mismatch([
      { condition: "repository_id", claim: "repository_id", expected: kept.repository_id, got: repository_id },
    ]);
  }
  if (kept.owner_id !== owner_id) {
    throw mismatch([{ condition: "owner_id", claim: "repository_owner_id", expected: kept.owner_id, got: owner_id }]);
  }
  parts.onLearnt(app, kept);
}

/** With one trusted repository the log line has the difference itself; with several, a list. */
function mismatch(differences: Difference[]): Refusal {
  const [first, ...others] = differences;
  return new Refusal("identity_mismatch", others.length === 0 ? { ...first } : { trusted: differences });
}
