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
import type { Actor } from "../../../shared/protocol.ts";
import type { Apps } from "../../contracts/ports.ts";
import type { UsedTokens } from "../../contracts/token-stores.ts";
import type { Trusted } from "../../settings-trust.ts";
import { chain } from "./chain.ts";
import { type GithubParts, githubSigner, trustedIssuers } from "./github-signer.ts";
import { keySigner } from "./key-signer.ts";
import { Refusal, short } from "./refusal.ts";
import type { Identity, MatchedTrust, Signer } from "./signer.ts";

/** What a call needs to be allowed. The rest of an operation (a digest, a redeploy's release) comes from the token. */
export type Wanted = { name: "deploy" } | { name: "redeploy" } | Exclude<Operation, { name: "deploy" | "redeploy" }>;

export interface Call {
  app: string;
  wanted: Wanted;
  /** The headers as they came: Authorization, and a local operator's name, at which nobody looks on the network. */
  authorization: string | undefined;
  operator?: string | undefined;
}

export interface CheckParts {
  apps: Pick<Apps, "settings">;
  spent: UsedTokens;
  /** The authorities in the URLs by which callers know this agent. */
  names: readonly string[];
  github: GithubParts;
  /** Milliseconds since the epoch. */
  now(): number;
}

export const tokenLimits = { bytes: 8192, ageSeconds: 600, toleranceSeconds: 30, jti: 256 } as const;

/**
 * What is known of a call before the first check and after each one. A check takes what the one before it returned, so a
 * wrong order, and a check left out, do not compile.
 */
export interface Asked {
  call: Call;
  parts: CheckParts;
}

interface Presented extends Asked {
  token: string;
  header: ProtectedHeaderParameters;
  /** Read before the signature is checked; nothing may be decided by it alone. */
  claimed: JWTPayload;
}

interface PlainHeader extends Presented {
  /** Of the header, all that is used; read before the signature is checked too. */
  algorithm: unknown;
  kid: unknown;
}

interface LookedUp extends PlainHeader {
  /** Nobody if the host does not have the app. */
  trust: readonly Trusted[];
  /** Why the app's settings cannot be read, if so. */
  missing: Refusal | undefined;
}

interface KnownIssuer extends LookedUp {
  signer: Signer;
  /** Not empty. */
  kid: string;
}

interface ExpectedAudience extends KnownIssuer {
  audience: string;
  operation: Operation;
}

interface Signed extends ExpectedAudience {
  payload: JWTPayload;
}

interface ShortLived extends Signed {
  jti: string;
  /** Seconds since the epoch. */
  expires: number;
}

interface Proven extends ShortLived {
  missing: undefined;
}

interface Identified extends Proven {
  identity: Identity;
}

interface Granted extends Identified {
  /** The trust entry that allows it. */
  granted: MatchedTrust;
}

interface IdsPinned extends Granted {
  pinned: true;
}

/** What a token proves that has passed all checks. */
export interface Verified {
  actor: Actor;
  operation: Operation;
}

/** All that a signer's token is checked for. Nothing of it depends on whether the host has the app. */
const proof = chain(issuerIsKnown).next(audienceIsExpected).next(signatureAndTimesHold).next(lifetimeIsShort);

/**
 * Verifies a call's token. The order matters:
 * - The app comes before the issuer, because the app's file says which keys it trusts. But an app that the host does not
 *   have is refused only after the signature: otherwise the time of a refusal would tell which apps there are.
 * - The audience comes before the signature, so that a token for another host or call costs no key fetch.
 * - The grant comes before the ids, so that a token without the right cannot pin them.
 * - The ids come before the token is spent, so that a token that cannot pin them is not used up. Only these last two
 *   checks have an effect: a token that another check refuses pins nothing and can be used again.
 * @throws Refusal
 */
export const verify: (asked: Asked) => Promise<Verified> = chain(tokenIsPresent)
  .next(headerIsPlain)
  .next(appIsLookedUp)
  .next(appAndTokenAreProven)
  .next(identityIsTrusted)
  .next(signerMayDoThis)
  .next(idsArePinned)
  .next(tokenIsFresh).run;

export function tokenIsPresent(asked: Asked): Presented {
  const { authorization } = asked.call;
  if (authorization === undefined) throw new Refusal("token_missing");
  const token = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > tokenLimits.bytes) throw new Refusal("token_malformed");
  try {
    return { ...asked, token, header: decodeProtectedHeader(token), claimed: decodeJwt(token) };
  } catch {
    throw new Refusal("token_malformed");
  }
}

/** These headers say where a key is, how to read the token, or that it holds another token. No signer of ours writes any. */
const refusedHeaders = ["crit", "b64", "zip", "enc", "cty", "jku", "jwk", "x5u", "x5c"];

export function headerIsPlain(known: Presented): PlainHeader {
  const { header } = known;
  const found = refusedHeaders.find((name) => Object.hasOwn(header, name));
  if (found !== undefined) throw new Refusal("header_refused", { header: found });
  if (header.typ !== undefined && header.typ !== "JWT") {
    throw new Refusal("header_refused", { header: "typ", got: short(header.typ) });
  }
  return { ...known, algorithm: header.alg, kid: header.kid };
}

export async function appIsLookedUp(known: PlainHeader): Promise<LookedUp> {
  try {
    const { trust } = await known.parts.apps.settings(known.call.app);
    return { ...known, trust, missing: undefined };
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    const reason = thrown.code === "app_not_found" ? "app_unknown" : "settings_invalid";
    return { ...known, trust: [], missing: new Refusal(reason, { detail: thrown.message }) };
  }
}

/** Whatever the token is refused for, the log says first that there is no such app. */
export async function appAndTokenAreProven(known: LookedUp): Promise<Proven> {
  const { missing } = known;
  try {
    const proven = await proof.run(known);
    if (missing === undefined) return { ...proven, missing };
  } catch (thrown) {
    if (missing === undefined || !(thrown instanceof Refusal)) throw thrown;
  }
  throw missing;
}

/** The token only chooses among the signers that the host's owner wrote; everything about a signer comes from the host. */
export async function issuerIsKnown(known: LookedUp): Promise<KnownIssuer> {
  const { algorithm, kid, claimed, call, parts, trust } = known;
  const signer =
    claimed.iss === keyIssuer
      ? await keySigner(trust, kid, parts.now())
      : githubSigner(call.app, trust, claimed.iss, parts.github);
  if (signer === undefined) {
    throw new Refusal("issuer_untrusted", { got: short(claimed.iss), trusted: trustedIssuers(trust, parts.github) });
  }
  if (algorithm !== signer.algorithm) {
    throw new Refusal("algorithm_refused", { expected: signer.algorithm, got: short(algorithm) });
  }
  if (typeof kid !== "string" || kid === "") {
    throw new Refusal("key_unknown", { kid: short(kid), issuer: signer.issuer });
  }
  return { ...known, signer, kid };
}

export function audienceIsExpected(known: KnownIssuer): ExpectedAudience {
  const got = known.claimed.aud;
  if (typeof got !== "string") throw new Refusal("audience_malformed", { got: short(got) });
  const parsed = parseAudience(got);
  if (parsed === undefined) throw new Refusal("audience_malformed", { got: short(got) });
  const { app, wanted } = known.call;
  const { names } = known.parts;
  if (!names.includes(parsed.host)) throw new Refusal("host_unknown", { got: short(parsed.host), names });
  const operation = complete(wanted, parsed.operation);
  const audience =
    operation === undefined
      ? `cutover/v1/${parsed.host}/${app}/${wanted.name}/...`
      : formatAudience({ host: parsed.host, app, operation });
  if (operation === undefined || audience !== got) {
    throw new Refusal("audience_mismatch", { expected: audience, got: short(got) });
  }
  return { ...known, audience, operation };
}

/** A deploy's digest and a redeploy's release come from the token: the body is compared with them later. */
function complete(wanted: Wanted, claimed: Operation): Operation | undefined {
  if (wanted.name !== "deploy" && wanted.name !== "redeploy") return wanted;
  return claimed.name === wanted.name ? claimed : undefined;
}

export async function signatureAndTimesHold(known: ExpectedAudience): Promise<Signed> {
  const { signer, token, kid, audience, parts } = known;
  const key = await signer.key(kid);
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [signer.algorithm],
      issuer: signer.issuer,
      audience,
      requiredClaims: ["exp", "iat", "jti", ...signer.requiredClaims],
      maxTokenAge: tokenLimits.ageSeconds,
      clockTolerance: tokenLimits.toleranceSeconds,
      currentDate: new Date(parts.now()),
    });
    return { ...known, payload };
  } catch (thrown) {
    throw refusalOfJose(thrown);
  }
}

export function lifetimeIsShort(known: Signed): ShortLived {
  const { exp, iat, jti } = known.payload;
  if (exp === undefined || iat === undefined || exp - iat > tokenLimits.ageSeconds) {
    throw new Refusal("lifetime_too_long", { seconds: (exp ?? 0) - (iat ?? 0) });
  }
  if (typeof jti !== "string" || jti === "" || jti.length > tokenLimits.jti) {
    throw new Refusal("claim_invalid", { claim: "jti" });
  }
  return { ...known, jti, expires: exp };
}

export async function identityIsTrusted(known: Proven): Promise<Identified> {
  try {
    return { ...known, identity: await known.signer.identify(known.payload) };
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    throw new Refusal("settings_invalid", { detail: thrown.message });
  }
}

export function signerMayDoThis(known: Identified): Granted {
  const { name } = known.call.wanted;
  const { matched } = known.identity;
  const granted = matched.find(({ allow }) => allow.includes(name));
  const allow = matched.flatMap((each) => each.allow);
  if (granted === undefined) throw new Refusal("grant_missing", { wanted: name, allow });
  return { ...known, granted };
}

export async function idsArePinned(known: Granted): Promise<IdsPinned> {
  await known.identity.accepted?.();
  return { ...known, pinned: true };
}

export async function tokenIsFresh({ jti, expires, parts, signer, call, ...known }: IdsPinned): Promise<Verified> {
  const forgetAt = (expires + 2 * tokenLimits.toleranceSeconds) * 1000;
  const { trust } = known.granted;
  // GitHub signs for all repositories and workflows; those of one trust entry are one signer here.
  const spending = await parts.spent.spend(`${signer.name}/${jti}`, forgetAt, `${call.app}/${signer.name}/${trust}`);
  if (spending !== "recorded") throw new Refusal(spending);
  return { actor: { ...known.identity.actor, trust }, operation: known.operation };
}

function refusalOfJose(thrown: unknown): Refusal {
  if (thrown instanceof errors.JWTExpired) return new Refusal("expired", { claim: thrown.claim });
  if (thrown instanceof errors.JWTClaimValidationFailed) return new Refusal("claim_invalid", { claim: thrown.claim });
  if (thrown instanceof errors.JOSEAlgNotAllowed) return new Refusal("algorithm_refused");
  if (thrown instanceof errors.JOSEError) return new Refusal("signature_invalid", { detail: thrown.code });
  return new Refusal("signature_invalid");
}
