import type { CryptoKey, JWTPayload } from "jose";
import type { Actor } from "../../../shared/protocol.ts";
import type { Grant } from "../../settings-trust.ts";

/** What one kind of signer knows about its tokens. Everything else is checked in the same way for all kinds. */
export interface Signer {
  /** Goes before a token's id when it is recorded, since two signers may give the same id. */
  name: string;
  /** The exact `iss`. */
  issuer: string;
  /** The only accepted `alg`. */
  algorithm: string;
  /** In addition to `exp`, `iat` and `jti`. */
  requiredClaims: string[];
  /** The key that the token's `kid` names. @throws Refusal key_unknown, keys_unavailable */
  key(kid: string): Promise<CryptoKey>;
  /** Who made the token, read from claims whose signature was checked. @throws Refusal claim_invalid, identity_mismatch */
  identify(claims: JWTPayload): Promise<Identity>;
}

/** A trust entry that the token meets. */
export interface MatchedTrust {
  allow: readonly Grant[];
  /** For the audit log: a repository with its conditions, or the beginning of a key. */
  trust: string;
}

export interface Identity {
  actor: Actor;
  /** Each adds what it allows. Not empty. */
  matched: readonly MatchedTrust[];
  /** Called when the token may do what it asks for, before it is recorded as used. @throws Refusal identity_mismatch */
  accepted?(): Promise<void>;
}
