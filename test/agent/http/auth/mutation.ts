import { createHmac } from "node:crypto";
import type { RefusalReason } from "../../../../agent/http/auth/refusal.ts";
import { decoded, encoded, type Good, type Parts } from "./good-token.ts";

/** What is sent instead of a deploy with a good token. */
export interface Attempt {
  /** Each is a header line of its own. */
  authorization?: string | string[];
  method?: "GET" | "POST";
  path?: string;
  headers?: Record<string, string>;
}

export interface Mutation {
  name: string;
  reason: RefusalReason;
  /** What else the log line has to say. */
  says?: Record<string, unknown>;
  make(good: Good, attacker: string): Promise<Attempt>;
}

type Make = (good: Good, attacker: string) => Promise<string | Attempt>;

export function mutation(name: string, reason: RefusalReason, make: Make, says?: Record<string, unknown>): Mutation {
  return {
    name,
    reason,
    ...(says !== undefined && { says }),
    async make(good, attacker) {
      const made = await make(good, attacker);
      return typeof made === "string" ? { authorization: `Bearer ${made}` } : made;
    },
  };
}

export const line = (authorization: string | string[]): Attempt => ({ authorization });

/** A well-signed token with other claims. */
export function claims(
  name: string,
  reason: RefusalReason,
  changed: () => Parts["claims"],
  says?: Record<string, unknown>,
) {
  return mutation(name, reason, (good) => good.sign({ claims: changed() ?? {} }), says);
}

/** A token that the good key signed with another header. */
export function header(
  name: string,
  reason: RefusalReason,
  changed: Record<string, unknown>,
  says?: Record<string, unknown>,
) {
  return mutation(name, reason, (good) => resigned(good, changed), says);
}

/** jose refuses to write some headers, so the text is made by hand and signed with the right key as bytes. */
export async function resigned(good: Good, changed: Record<string, unknown>): Promise<string> {
  const [head, payload] = (await good.sign()).split(".");
  const text = encoded(without({ ...decoded(head), ...changed }));
  return `${text}.${payload}.${await rawSignature(good, `${text}.${payload}`)}`;
}

export async function rawSignature(good: Good, input: string): Promise<string> {
  const algorithm = good.alg === "RS256" ? "RSASSA-PKCS1-v1_5" : "Ed25519";
  return Buffer.from(await crypto.subtle.sign(algorithm, good.rawKey, Buffer.from(input))).toString("base64url");
}

export function without(all: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export async function hmac(good: Good, secret: string): Promise<string> {
  const [, payload] = (await good.sign()).split(".");
  const input = `${encoded({ alg: "HS256", kid: good.kid, typ: "JWT" })}.${payload}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** Signed by a stranger; the header names the key or its address. */
export function foreignKey(name: string, headerName: string, value: (attacker: string) => unknown): Mutation {
  const make = async (good: Good, attacker: string) => {
    const stranger = await good.stranger();
    const given = headerName === "jwk" ? stranger.public : value(attacker);
    return good.sign({ header: { kid: stranger.kid, [headerName]: given }, key: stranger.private });
  };
  return mutation(name, "header_refused", make, { header: headerName });
}

/** Another way to write a good token down. */
export function rewritten(
  name: string,
  reason: RefusalReason,
  rewrite: (token: string) => string | string[],
): Mutation {
  return mutation(name, reason, async (good) => line(rewrite(await good.sign())));
}

/** A token from parts of good ones. */
export function spliced(
  name: string,
  reason: RefusalReason,
  splice: (head: string, payload: string, end: string) => string,
) {
  return mutation(name, reason, async (good) => {
    const [head = "", payload = "", end = ""] = (await good.sign()).split(".");
    return splice(head, payload, end);
  });
}

export function aud(name: string, reason: RefusalReason, changed: unknown): Mutation {
  return claims(name, reason, () => ({ aud: changed }));
}
