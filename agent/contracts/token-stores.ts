import type { CryptoKey } from "jose";

/** What the verification of a token needs and agent/host supplies. Not a part of Ports: deploy code knows no tokens. */

/**
 * `recorded`: it is used now for the first time. `spent`: it was used before. `clock_behind`: the clock was set back to a
 * time whose tokens are forgotten, so nobody can know whether it was used.
 */
export type SpendResult = "recorded" | "spent" | "clock_behind";

/** The tokens that were used: each counts once, also across restarts. */
export interface UsedTokens {
  /**
   * Records a token's id (`jti`), on disk before it returns.
   * @param expires when the token is no longer valid, in milliseconds since the epoch
   * @param pool the app and the signer, as one name. Each has room of its own, so that none can use up another's
   * @throws CutoverError internal if it cannot be recorded; then the token must not be accepted
   */
  spend(jti: string, expires: number, pool: string): Promise<SpendResult>;
}

export type IssuerKey =
  | { kind: "key"; key: CryptoKey }
  | { kind: "unknown" }
  /** The issuer cannot be reached, and its last answer is too old or there was none. `detail` is for the log. */
  | { kind: "unavailable"; detail: string };

/** The public keys of the token issuers in agent.yml. */
export interface IssuerKeys {
  /** @param kid the key id in the token's header */
  find(issuer: string, kid: string): Promise<IssuerKey>;
}

/** GitHub may give the name of a deleted repository to another one, but never these ids. Decimal digits. */
export interface RepositoryIds {
  repository_id: string;
  owner_id: string;
}

/** A repository that an app trusts by name, with the ids that it had at its first accepted token. */
export interface PinnedRepository extends RepositoryIds {
  issuer: string;
  repository: string;
  /** When it was pinned, in ISO 8601. */
  learnt: string;
}

/** The ids of repositories that an app's settings trust only by name: the first accepted token pins them. */
export interface PinnedRepositories {
  /** @throws CutoverError host_settings_invalid if the pins cannot be read; they are not pinned again by themselves */
  list(app: string): Promise<PinnedRepository[]>;
  /** On disk before it returns. If the name is pinned already, that pin stays. @returns the pin that counts */
  pin(app: string, repository: PinnedRepository): Promise<PinnedRepository>;
  /** Removes all pins of an app, when the app is removed. */
  forget(app: string): Promise<void>;
}
