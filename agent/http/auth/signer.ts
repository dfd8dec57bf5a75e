import type { CryptoKey, JWTPayload } from "jose";
import type { Actor } from "../../../shared/protocol.ts";
import type { Grant } from "../../settings.ts";

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

export interface Identity {
  actor: Actor;
  allow: readonly Grant[];
  /** Called when the token may do what it asks for, before it is recorded as used. @throws Refusal identity_mismatch */
  accepted?(): Promise<void>;
}
