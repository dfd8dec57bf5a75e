import type { CryptoKey } from "jose";

/** What verifying a token needs and agent/host supplies. No part of Ports: deploy code knows no tokens. */

/**
 * `spent`: it was recorded before. `clock_behind`: the clock was set back behind tokens that are forgotten, so nobody can
 * tell any more whether it was.
 */
export type SpendResult = "recorded" | "spent" | "clock_behind";

/** Tokens that were used. */
export interface UsedTokens {
  /** Records the id on disk before it returns. @param expires in milliseconds since the epoch */
  spend(jti: string, expires: number): Promise<SpendResult>;
}

export type IssuerKey =
  | { kind: "key"; key: CryptoKey }
  | { kind: "unknown" }
  /** It cannot be asked, and what it said before is too old, or it never said anything. */
  | { kind: "unavailable"; detail: string };

/** The public keys of a token issuer whose address the host's owner knows. */
export interface IssuerKeys {
  find(issuer: string, kid: string): Promise<IssuerKey>;
}

/** GitHub gives a name to another repository after the first is gone; these ids never. */
export interface RepositoryIds {
  repository_id: string;
  owner_id: string;
}

export interface PinnedRepository extends RepositoryIds {
  issuer: string;
  repository: string;
  /** When, in ISO 8601. */
  learnt: string;
}

/** Ids of repositories that an app's settings trust by name alone. */
export interface PinnedRepositories {
  /** @throws CutoverError host_settings_invalid, where what was learnt cannot be read: it is not learnt again by itself */
  list(app: string): Promise<PinnedRepository[]>;
  /** On disk before it returns; of several at once the first counts. @returns what counts now */
  pin(app: string, repository: PinnedRepository): Promise<PinnedRepository>;
  /** What is learnt of an app goes with it. */
  forget(app: string): Promise<void>;
}
