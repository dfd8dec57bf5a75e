import type { Context, MiddlewareHandler } from "hono";
import { getCookie } from "hono/cookie";
import { CutoverError } from "../../shared/errors.ts";
import type { Sessions } from "./session.ts";
import type { Words } from "./words.ts";

export interface PageEnv {
  Variables: { words: Words };
}
export type PageCall = Context<PageEnv>;

/**
 * The names of this computer. A page of another site whose name was made to lead here (DNS rebinding) comes with that
 * name. The port may be any: `ssh -L` chooses it.
 */
const ownHost = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/;

/** Nothing inline, nothing from elsewhere, in nobody's frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers: Record<string, string> = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // With `no-referrer` a browser sends `Origin: null` with a form, and its own forms could not be told from others.
  "referrer-policy": "same-origin",
  "cache-control": "no-store",
};

export const safeHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
};

/** Refuses what no browser of the person can have meant, before any route. @throws CutoverError forbidden, unauthorized */
export function guard(sessions: Sessions): MiddlewareHandler<PageEnv> {
  return async (c, next) => {
    assertOwnHost(c);
    assertKnownMethod(c);
    assertOwnPage(c);
    if (!isOpen(c) && !sessions.has(getCookie(c, sessions.cookie))) {
      throw new CutoverError("unauthorized", c.get("words").noSession, { fix: c.get("words").noSessionFix });
    }
    await next();
  };
}

/** These say nothing of the host. */
function isOpen({ req }: PageCall): boolean {
  return req.method === "GET" && ["/enter", "/page.css", "/icon.svg"].includes(req.path);
}

function assertOwnHost({ req }: PageCall): void {
  if (ownHost.test(req.header("host") ?? "")) return;
  throw refusal("The page is only for 127.0.0.1 and localhost.");
}

function assertKnownMethod({ req }: PageCall): void {
  if (req.method === "GET" || req.method === "HEAD" || req.method === "POST") return;
  throw new CutoverError("request_invalid", "The page takes GET and POST.", { unchanged: "Nothing was changed." });
}

/**
 * Another page that the person has open, also one of another port of this computer, can send no form and read nothing. An
 * address with a token may be opened from anywhere: a terminal can be a page too.
 */
function assertOwnPage({ req }: PageCall): void {
  const site = req.header("sec-fetch-site");
  const foreign = site !== undefined && site !== "same-origin" && site !== "none";
  if (foreign && req.path !== "/enter") throw refusal("Another page asked for this one.");
  if (req.method === "GET") return;
  if (req.header("origin") !== `http://${req.header("host")}`) throw refusal("The form is not from this page.");
}

function refusal(message: string): CutoverError {
  return new CutoverError("forbidden", message, {
    unchanged: "Nothing was changed.",
    fix: "Open the address that `cutover ui` printed.",
  });
}
