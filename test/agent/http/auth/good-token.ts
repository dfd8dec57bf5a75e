import { randomUUID } from "node:crypto";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { keyIssuer } from "../../../../shared/key.ts";
import { fakeDigest } from "../../../fakes/service.ts";
import { newIssuerKey, shopClaims, type TokenServer } from "../../../fakes/token-server.ts";
import { hostName, newKey, type TestKey } from "../support.ts";

export const bundle = "a bundle, as far as the fake service is concerned";
export const audience = `cutover/v1/${hostName}/shop/deploy/${fakeDigest(bundle)}`;
export const release = "20261121T103000Z-3f2c1ab";

/** A key that nobody trusts, of a kind that the token's own key has. */
export interface Stranger {
  private: CryptoKey;
  public: JWK;
  kid: string;
}

/** What signs a good token, and all that a mutation of it may start from. `undefined` leaves a claim or a header out. */
export interface Good {
  kind: "key" | "github";
  alg: "EdDSA" | "RS256";
  /** The other kind's. */
  otherAlg: "EdDSA" | "RS256";
  kid: string;
  issuer: string;
  /** The public key in the texts that somebody may take for a secret. */
  publicTexts: { pem: string; jwk: string };
  sign(parts?: Parts): Promise<string>;
  stranger(): Promise<Stranger>;
  /** Its private key, for what no library signs. */
  rawKey: CryptoKey;
}

export interface Parts {
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  key?: CryptoKey;
}

export const seconds = () => Math.floor(Date.now() / 1000);

interface Kind {
  kind: "key" | "github";
  alg: "EdDSA" | "RS256";
  issuer: string;
  kid: string;
  private: CryptoKey;
  claims: () => Record<string, unknown>;
  stranger: () => Promise<Stranger>;
}

async function good(own: Kind): Promise<Good> {
  const { kind, alg, issuer, kid } = own;
  const { kty, crv, x, n, e } = await exportJWK(own.private);
  const jwk = Object.fromEntries(Object.entries({ kty, crv, x, n, e }).filter(([, value]) => value !== undefined));
  return {
    kind,
    alg,
    otherAlg: alg === "RS256" ? "EdDSA" : "RS256",
    kid,
    issuer,
    publicTexts: { pem: await publicPem(jwk as JWK, alg), jwk: JSON.stringify(jwk) },
    stranger: own.stranger,
    rawKey: own.private,
    sign({ claims = {}, header = {}, key = own.private } = {}) {
      const now = seconds();
      const usual = { iss: issuer, aud: audience, iat: now, nbf: now, exp: now + 300, jti: randomUUID() };
      const payload = without({ ...usual, ...own.claims(), ...claims });
      const headers = without({ alg, kid, typ: "JWT", ...header });
      return new SignJWT(payload).setProtectedHeader(headers as { alg: string }).sign(key);
    },
  };
}

function without(all: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

async function publicPem(jwk: JWK, alg: string): Promise<string> {
  const key = await importJWK(jwk, alg, { extractable: true });
  if (key instanceof Uint8Array) throw new Error("no public key");
  return exportSPKI(key);
}

export async function goodKey(key: TestKey): Promise<Good> {
  return good({
    kind: "key",
    alg: "EdDSA",
    issuer: keyIssuer,
    kid: key.signer.kid,
    private: key.signer.key,
    claims: () => ({ sub: "ci" }),
    stranger: async () => {
      const { signer } = await newKey();
      const { kty, crv, x } = await exportJWK(signer.key);
      return { private: signer.key, kid: signer.kid, public: { kty, crv, x } as JWK };
    },
  });
}

export async function goodGithub(server: TokenServer): Promise<Good> {
  const { key, issuer } = server;
  return good({
    kind: "github",
    alg: "RS256",
    issuer,
    kid: key.kid,
    private: key.private,
    claims: () => ({ ...shopClaims, nbf: seconds() - 600 }),
    stranger: newIssuerKey,
  });
}

/** A key of another algorithm, which signs well. */
export async function keyOf(alg: string): Promise<CryptoKey> {
  return (await generateKeyPair(alg, { extractable: true })).privateKey;
}

export function encoded(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

export function decoded(part = ""): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}
