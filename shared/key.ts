import { randomUUID } from "node:crypto";
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importJWK,
  importPKCS8,
  type JWK,
  SignJWT,
} from "jose";
import { CutoverError } from "./errors.ts";

/**
 * Tokens signed with a key of your own, for hosts that cannot reach GitHub, and for curl. The private half is a PEM
 * (PKCS #8) file, so that openssl reads it too; the public half is one line, `ed25519:<43 characters>`, for a trust
 * file.
 */
export const keyIssuer = "cutover";
export const keyAlgorithm = "EdDSA";
export const tokenLifetimeSeconds = 300;

export interface KeyPair {
  privatePem: string;
  publicLine: string;
}

export interface SigningKey {
  key: CryptoKey;
  /** RFC 7638 thumbprint of the public half: the token's `kid`. */
  kid: string;
  publicLine: string;
}

/**
 * Who asks and why, for the host's log and for the next caller, who finds the app locked. Signed, but chosen by the
 * key's owner.
 */
export interface Claims {
  sub: string;
  repository?: string;
  run_url?: string;
  /** Named as in GitHub's tokens: the workflow's file with its ref, and which run of it. */
  workflow_ref?: string;
  run_number?: string;
  run_attempt?: string;
}

export async function generateKey(): Promise<KeyPair> {
  const { privateKey, publicKey } = await generateKeyPair(keyAlgorithm, { crv: "Ed25519", extractable: true });
  return { privatePem: await exportPKCS8(privateKey), publicLine: publicLineOf(await exportJWK(publicKey)) };
}

function publicLineOf({ x }: JWK): string {
  return `ed25519:${x ?? ""}`;
}

/** @throws CutoverError signing_key_invalid; no message contains the text itself */
export async function importPrivateKey(pem: string): Promise<SigningKey> {
  try {
    const key = await importPKCS8(pem.trim(), keyAlgorithm, { extractable: true });
    const { kty, crv, x } = await exportJWK(key);
    const publicJwk: JWK = { kty: kty ?? "", crv: crv ?? "", x: x ?? "" };
    return { key, kid: await calculateJwkThumbprint(publicJwk), publicLine: publicLineOf(publicJwk) };
  } catch {
    const whole = "store the whole file that `cutover keygen` wrote, with its BEGIN and END lines, as the secret.";
    throw new CutoverError(
      "signing_key_invalid",
      `The signing key is not an Ed25519 private key in PEM${whatItIs(pem.trim())}.`,
      {
        unchanged: "Nothing was sent.",
        fix: `Make one with \`cutover keygen\`, or, if you have one, ${whole}`,
      },
    );
  }
}

/** What people store in its place. Nothing of the text itself is told. */
function whatItIs(text: string): string {
  if (/^(?:ed25519:|ssh-|-----BEGIN PUBLIC KEY)/.test(text)) {
    return ": it is the public half, which the hosts get (`cutover app add --key`)";
  }
  if (/^-----BEGIN [A-Z ]*PRIVATE KEY-----\\n/.test(text)) {
    return ": its line breaks are written as \\n, and must be line breaks";
  }
  const kind = /^-----BEGIN ((?:OPENSSH|RSA|EC|ENCRYPTED) PRIVATE KEY|CERTIFICATE)-----/.exec(text)?.[1];
  if (kind !== undefined) return `: it is of another kind (${kind})`;
  return /^-----BEGIN PRIVATE KEY-----/.test(text)
    ? ": a part of it is missing, or it is no Ed25519 key"
    : ", which has BEGIN and END lines";
}

export interface TrustedKey {
  key: CryptoKey;
  kid: string;
}

/** The public half from its one line; undefined when the line is not one. */
export async function importPublicLine(line: string): Promise<TrustedKey | undefined> {
  const x = /^ed25519:([A-Za-z0-9_-]{43})$/.exec(line.trim())?.[1];
  if (x === undefined) return undefined;
  const jwk: JWK = { kty: "OKP", crv: "Ed25519", x };
  const key = await importJWK(jwk, keyAlgorithm);
  return key instanceof Uint8Array ? undefined : { key, kid: await calculateJwkThumbprint(jwk) };
}

/** A token for one call. `audience` is the text of `formatAudience`; `now` in milliseconds. */
export async function signToken(
  signer: SigningKey,
  audience: string,
  claims: Claims,
  now = Date.now(),
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: keyAlgorithm, kid: signer.kid, typ: "JWT" })
    .setIssuer(keyIssuer)
    .setAudience(audience)
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + tokenLifetimeSeconds)
    .setJti(randomUUID())
    .sign(signer.key);
}
