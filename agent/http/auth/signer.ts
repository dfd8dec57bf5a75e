import type { CryptoKey, JWTPayload } from "jose";
import type { Actor } from "../../../shared/protocol.ts";
import type { Grant } from "../../settings.ts";

/** What one kind of signer supplies about a token that names it; everything else is checked alike for all. */
export interface Signer {
  /** Whose ids of tokens these are: two signers may give the same id. */
  name: string;
  /** `iss`, exactly. */
  issuer: string;
  /** The only `alg`. */
  algorithm: string;
  /** Beside `exp`, `iat` and `jti`. */
  requiredClaims: string[];
  /** The key of the token's `kid`. @throws Refusal key_unknown, keys_unavailable */
  key(kid: string): Promise<CryptoKey>;
  /** Who it is by the claims, which the signature covers. @throws Refusal claim_invalid, identity_mismatch */
  identify(claims: JWTPayload): Promise<Identity>;
}

export interface Identity {
  actor: Actor;
  allow: readonly Grant[];
  /** Done once the token may do what it asks for, before it is spent. @throws Refusal identity_mismatch */
  accepted?(): Promise<void>;
}
