import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from "jose";
import { formatAudience, type Operation, parseAudience } from "../../shared/audience.ts";
import { CutoverError } from "../../shared/errors.ts";
import { importPublicLine, keyAlgorithm, keyIssuer, type TrustedKey } from "../../shared/key.ts";
import type { Actor } from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import type { Apps, SpentTokens } from "../ports.ts";
import type { AppSettings, Grant } from "../settings.ts";

/** What a call needs to be allowed. The rest of an operation (a digest, a redeploy's release) comes from the token. */
export type Wanted = { name: "deploy" } | { name: "redeploy" } | Exclude<Operation, { name: "deploy" | "redeploy" }>;

export interface Call {
  app: string;
  wanted: Wanted;
  /** The Authorization header as it came. */
  authorization: string | undefined;
}

export interface Authorized {
  actor: Actor;
  /** What the token was signed for; undefined for a local operator, who may do anything. */
  operation: Operation | undefined;
}

/** @throws CutoverError unauthorized, forbidden */
export type Authorize = (call: Call) => Promise<Authorized>;

/** Why a token was refused. For the host's log only. */
export type RefusalReason =
  | "token_missing"
  | "token_malformed"
  | "app_unknown"
  | "settings_invalid"
  | "key_unknown"
  | "audience_malformed"
  | "host_unknown"
  | "audience_mismatch"
  | "signature_invalid"
  | "algorithm_refused"
  | "expired"
  | "claim_invalid"
  | "lifetime_too_long"
  | "grant_missing"
  | "spent";

class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly details: Record<string, unknown>;

  constructor(reason: RefusalReason, details: Record<string, unknown> = {}) {
    super(reason);
    this.reason = reason;
    this.details = details;
  }
}

export interface TokenAuthorizerOptions {
  apps: Pick<Apps, "settings">;
  spent: SpentTokens;
  /** The authorities by which callers know this agent. */
  names: readonly string[];
  logger: Logger;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

export const tokenLimits = { bytes: 8192, ageSeconds: 600, toleranceSeconds: 30, jti: 256 } as const;

/** What the checks find out, each adding to what the ones before it found. */
interface Verification {
  call: Call;
  options: TokenAuthorizerOptions;
  token: string;
  header: ProtectedHeaderParameters;
  /** Read before the signature was checked; nothing may be decided by it alone. */
  claimed: JWTPayload;
  settings: AppSettings;
  key: TrustedKey;
  allow: readonly Grant[];
  audience: string;
  operation: Operation;
  payload: JWTPayload;
}

type Check = (so: Verification) => Promise<void> | void;

/** In this order. The last one has an effect: a token that fails another check is not used up. */
const checks: readonly Check[] = [
  tokenIsPresent,
  appIsKnown,
  keyIsTrusted,
  audienceIsExpected,
  signatureAndTimesHold,
  lifetimeIsShort,
  keyMayDoThis,
  tokenIsFresh,
];

/** Verifies tokens: one path for every call. The reason of a refusal goes to the log, never to the caller. */
export function tokenAuthorizer(options: TokenAuthorizerOptions): Authorize {
  return async (call) => {
    const verification = { call, options } as Verification;
    try {
      for (const check of checks) await check(verification);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const { reason, details } = thrown;
      options.logger.warn({ reason, app: call.app, wanted: call.wanted.name, ...details }, "token refused");
      throw reason === "grant_missing" || reason === "spent" ? forbidden(thrown) : unauthorized(thrown);
    }
    return { actor: actorOf(verification.payload), operation: verification.operation };
  };
}

/** For the admin socket: whoever may open it may call. */
export function localOperator(): Authorize {
  return async () => ({ actor: { subject: "local operator" }, operation: undefined });
}

/** Why a call's token was refused, for the host's files; undefined where the error is another one. */
export function refusalOf(thrown: unknown): RefusalReason | undefined {
  const cause = thrown instanceof CutoverError ? thrown.cause : undefined;
  return cause instanceof Refusal ? cause.reason : undefined;
}

export function unauthorized(cause?: unknown): CutoverError {
  return new CutoverError(
    "unauthorized",
    "The agent refused the token: either it has no app of this name, or the token does not prove what this call needs " +
      "(a key that the app trusts, this host's name, this app and call, not expired).",
    {
      unchanged: "Nothing was changed.",
      fix: "On the host, `cutover app list` shows the apps and the agent's log tells the exact reason; the app's settings file lists the keys that it trusts.",
      cause,
    },
  );
}

function forbidden(cause: unknown): CutoverError {
  return new CutoverError(
    "forbidden",
    "The token is genuine, but either its key may not do this here, or the token was used before: each is good for one call.",
    {
      unchanged: "Nothing was changed.",
      fix: "Make a new token for each call. What a key may do stands under `allow` in the app's settings file on the host; the agent's log tells the exact reason.",
      cause,
    },
  );
}

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

async function appIsKnown(so: Verification): Promise<void> {
  try {
    so.settings = await so.options.apps.settings(so.call.app);
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    throw new Refusal(thrown.code === "app_not_found" ? "app_unknown" : "settings_invalid", { detail: thrown.message });
  }
}

async function keyIsTrusted(so: Verification): Promise<void> {
  for (const { key: line, allow } of so.settings.trust) {
    const key = await importPublicLine(line);
    if (key !== undefined && key.kid === so.header.kid) {
      so.key = key;
      so.allow = allow;
      return;
    }
  }
  throw new Refusal("key_unknown", { kid: short(so.header.kid), trusted: so.settings.trust.length });
}

function audienceIsExpected(so: Verification): void {
  const got = so.claimed.aud;
  if (typeof got !== "string") throw new Refusal("audience_malformed");
  const parsed = parseAudience(got);
  if (parsed === undefined) throw new Refusal("audience_malformed", { got: short(got) });
  if (!so.options.names.includes(parsed.host)) {
    throw new Refusal("host_unknown", { got: short(parsed.host), names: so.options.names });
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
  try {
    const { payload } = await jwtVerify(so.token, so.key.key, {
      algorithms: [keyAlgorithm],
      issuer: keyIssuer,
      audience: so.audience,
      requiredClaims: ["exp", "iat", "jti"],
      maxTokenAge: tokenLimits.ageSeconds,
      clockTolerance: tokenLimits.toleranceSeconds,
      currentDate: new Date(now(so)),
    });
    so.payload = payload;
  } catch (thrown) {
    throw refusalOfJose(thrown);
  }
}

function lifetimeIsShort({ payload }: Verification): void {
  const { aud, exp, iat, jti } = payload;
  if (typeof aud !== "string") throw new Refusal("audience_malformed");
  if (exp === undefined || iat === undefined || exp - iat > tokenLimits.ageSeconds) {
    throw new Refusal("lifetime_too_long", { seconds: (exp ?? 0) - (iat ?? 0) });
  }
  if (typeof jti !== "string" || jti === "" || jti.length > tokenLimits.jti) {
    throw new Refusal("claim_invalid", { claim: "jti" });
  }
}

function keyMayDoThis(so: Verification): void {
  const { name } = so.call.wanted;
  if (!so.allow.includes(name)) throw new Refusal("grant_missing", { allow: so.allow });
}

async function tokenIsFresh(so: Verification): Promise<void> {
  const { jti, exp } = so.payload;
  const expires = ((exp ?? 0) + 2 * tokenLimits.toleranceSeconds) * 1000;
  // With the key's own id before it, so that the holder of one key cannot use up the tokens of another.
  if (!(await so.options.spent.spend(`${so.key.kid}/${jti}`, expires))) throw new Refusal("spent");
}

function refusalOfJose(thrown: unknown): Refusal {
  if (thrown instanceof errors.JWTExpired) return new Refusal("expired", { claim: thrown.claim });
  if (thrown instanceof errors.JWTClaimValidationFailed) return new Refusal("claim_invalid", { claim: thrown.claim });
  if (thrown instanceof errors.JOSEAlgNotAllowed) return new Refusal("algorithm_refused");
  if (thrown instanceof errors.JOSEError) return new Refusal("signature_invalid", { detail: thrown.code });
  return new Refusal("signature_invalid");
}

/** Signed, but chosen by the key's holder: cut to a length, and only an https address counts as a run. */
function actorOf({ sub, repository, run_url }: JWTPayload): Actor {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value.slice(0, 300) : undefined);
  const run = text(run_url);
  const from = text(repository);
  return {
    subject: text(sub) ?? "holder of a key",
    ...(from !== undefined && { repository: from }),
    ...(run?.startsWith("https://") === true && { run_url: run }),
  };
}

function short(text: unknown): string {
  return typeof text === "string" ? text.slice(0, 400) : typeof text;
}

function now(so: Verification): number {
  return (so.options.now ?? Date.now)();
}
