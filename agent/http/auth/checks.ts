import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import { formatAudience, type Operation, parseAudience } from "../../../shared/audience.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { keyIssuer } from "../../../shared/key.ts";
import type { Apps } from "../../contracts/ports.ts";
import type { UsedTokens } from "../../contracts/token-stores.ts";
import type { AppSettings } from "../../settings.ts";
import { type GithubParts, githubSigner, trustedIssuers } from "./github-signer.ts";
import { keySigner } from "./key-signer.ts";
import { Refusal, short } from "./refusal.ts";
import type { Identity, Signer } from "./signer.ts";

/** What a call needs to be allowed. The rest of an operation (a digest, a redeploy's release) comes from the token. */
export type Wanted = { name: "deploy" } | { name: "redeploy" } | Exclude<Operation, { name: "deploy" | "redeploy" }>;

export interface Call {
  app: string;
  wanted: Wanted;
  /** The Authorization header as it came. */
  authorization: string | undefined;
}

export interface CheckParts {
  apps: Pick<Apps, "settings">;
  spent: UsedTokens;
  /** The authorities by which callers know this agent. */
  names: readonly string[];
  github: GithubParts;
  /** Milliseconds since the epoch. */
  now(): number;
}

export const tokenLimits = { bytes: 8192, ageSeconds: 600, toleranceSeconds: 30, jti: 256 } as const;

/** What the checks find out, each adding to what the ones before it found. */
export interface Verification {
  call: Call;
  parts: CheckParts;
  token: string;
  header: ProtectedHeaderParameters;
  /** Read before the signature was checked; nothing may be decided by it alone. */
  claimed: JWTPayload;
  settings: AppSettings;
  signer: Signer;
  audience: string;
  operation: Operation;
  payload: JWTPayload;
  identity: Identity;
}

type Check = (so: Verification) => Promise<void> | void;

/** In this order. The last two have an effect: a token that fails another check teaches nothing and is not used up. */
export const checks: readonly Check[] = [
  tokenIsPresent,
  headerIsPlain,
  appIsKnown,
  issuerIsTrusted,
  audienceIsExpected,
  signatureAndTimesHold,
  lifetimeIsShort,
  identityIsTrusted,
  signerMayDoThis,
  idsAreLearnt,
  tokenIsFresh,
];

function tokenIsPresent(so: Verification): void {
  const { authorization } = so.call;
  if (authorization === undefined) throw new Refusal("token_missing");
  const token = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > tokenLimits.bytes) throw new Refusal("token_malformed");
  try {
    Object.assign(so, { token, header: decodeProtectedHeader(token), claimed: decodeJwt(token) });
  } catch {
    throw new Refusal("token_malformed");
  }
}

/** What would say where a key is, how to read the token, or that it holds another one. No signer of ours writes any. */
const refusedHeaders = ["crit", "b64", "zip", "enc", "cty", "jku", "jwk", "x5u", "x5c"];

function headerIsPlain({ header }: Verification): void {
  const found = refusedHeaders.find((name) => Object.hasOwn(header, name));
  if (found !== undefined) throw new Refusal("header_refused", { header: found });
  if (header.typ !== undefined && header.typ !== "JWT") {
    throw new Refusal("header_refused", { header: "typ", got: short(header.typ) });
  }
}

async function appIsKnown(so: Verification): Promise<void> {
  try {
    so.settings = await so.parts.apps.settings(so.call.app);
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    throw new Refusal(thrown.code === "app_not_found" ? "app_unknown" : "settings_invalid", { detail: thrown.message });
  }
}

/** The token says only which of the signers that the host's owner wrote it is; all about that one comes from the host. */
async function issuerIsTrusted(so: Verification): Promise<void> {
  const { header, claimed, call, parts } = so;
  const { trust } = so.settings;
  const signer =
    claimed.iss === keyIssuer
      ? await keySigner(trust, header.kid)
      : githubSigner(call.app, trust, claimed.iss, parts.github);
  if (signer === undefined) {
    const keys = trust.some(({ key }) => key !== undefined) ? [keyIssuer] : [];
    throw new Refusal("issuer_untrusted", {
      got: short(claimed.iss),
      trusted: [...keys, ...trustedIssuers(trust, parts.github)],
    });
  }
  if (header.alg !== signer.algorithm) {
    throw new Refusal("algorithm_refused", { expected: signer.algorithm, got: short(header.alg) });
  }
  if (typeof header.kid !== "string" || header.kid === "") {
    throw new Refusal("key_unknown", { kid: short(header.kid), issuer: signer.issuer });
  }
  so.signer = signer;
}

function audienceIsExpected(so: Verification): void {
  const got = so.claimed.aud;
  if (typeof got !== "string") throw new Refusal("audience_malformed", { got: short(got) });
  const parsed = parseAudience(got);
  if (parsed === undefined) throw new Refusal("audience_malformed", { got: short(got) });
  if (!so.parts.names.includes(parsed.host)) {
    throw new Refusal("host_unknown", { got: short(parsed.host), names: so.parts.names });
  }
  const { app, wanted } = so.call;
  const operation = complete(wanted, parsed.operation);
  so.audience =
    operation === undefined
      ? `cutover/v1/${parsed.host}/${app}/${wanted.name}/...`
      : formatAudience({ host: parsed.host, app, operation });
  if (operation === undefined || so.audience !== got) {
    throw new Refusal("audience_mismatch", { expected: so.audience, got: short(got) });
  }
  so.operation = operation;
}

/** A deploy's digest and a redeploy's release are the token's own to say: the body is held against them later. */
function complete(wanted: Wanted, claimed: Operation): Operation | undefined {
  if (wanted.name !== "deploy" && wanted.name !== "redeploy") return wanted;
  return claimed.name === wanted.name ? claimed : undefined;
}

async function signatureAndTimesHold(so: Verification): Promise<void> {
  const { signer, token, header } = so;
  const key = await signer.key(header.kid ?? "");
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [signer.algorithm],
      issuer: signer.issuer,
      audience: so.audience,
      requiredClaims: ["exp", "iat", "jti", ...signer.requiredClaims],
      maxTokenAge: tokenLimits.ageSeconds,
      clockTolerance: tokenLimits.toleranceSeconds,
      currentDate: new Date(so.parts.now()),
    });
    so.payload = payload;
  } catch (thrown) {
    throw refusalOfJose(thrown);
  }
}

function lifetimeIsShort({ payload }: Verification): void {
  const { exp, iat, jti } = payload;
  if (exp === undefined || iat === undefined || exp - iat > tokenLimits.ageSeconds) {
    throw new Refusal("lifetime_too_long", { seconds: (exp ?? 0) - (iat ?? 0) });
  }
  if (typeof jti !== "string" || jti === "" || jti.length > tokenLimits.jti) {
    throw new Refusal("claim_invalid", { claim: "jti" });
  }
}

async function identityIsTrusted(so: Verification): Promise<void> {
  try {
    so.identity = await so.signer.identify(so.payload);
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    throw new Refusal("settings_invalid", { detail: thrown.message });
  }
}

function signerMayDoThis({ call, identity }: Verification): void {
  if (!identity.allow.includes(call.wanted.name)) throw new Refusal("grant_missing", { allow: identity.allow });
}

async function idsAreLearnt({ identity }: Verification): Promise<void> {
  await identity.accepted?.();
}

async function tokenIsFresh({ payload, parts, signer }: Verification): Promise<void> {
  const { jti, exp } = payload;
  const expires = ((exp ?? 0) + 2 * tokenLimits.toleranceSeconds) * 1000;
  const spending = await parts.spent.spend(`${signer.name}/${jti}`, expires);
  if (spending !== "recorded") throw new Refusal(spending);
}

function refusalOfJose(thrown: unknown): Refusal {
  if (thrown instanceof errors.JWTExpired) return new Refusal("expired", { claim: thrown.claim });
  if (thrown instanceof errors.JWTClaimValidationFailed) return new Refusal("claim_invalid", { claim: thrown.claim });
  if (thrown instanceof errors.JOSEAlgNotAllowed) return new Refusal("algorithm_refused");
  if (thrown instanceof errors.JOSEError) return new Refusal("signature_invalid", { detail: thrown.code });
  return new Refusal("signature_invalid");
}
