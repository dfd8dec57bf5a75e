import type { Context, Hono } from "hono";
import type { Audit } from "./audit.ts";
import type { HttpBindings } from "./request-body.ts";

/** What every call carries with it. */
export interface Env {
  Bindings: HttpBindings;
  Variables: { reference: string; deployment?: string; audit: Audit };
}

export type Call = Context<Env>;
export type HttpApp = Hono<Env>;
