import type { Context, Hono } from "hono";
import type { z } from "zod";
import type { Call as ProtocolCall } from "../../shared/call.ts";
import type { Audit } from "./audit.ts";
import type { HttpBindings } from "./request-body.ts";

/** What every call carries with it. */
export interface Env {
  Bindings: HttpBindings;
  Variables: { reference: string; deployment?: string; audit: Audit };
}

export type Call = Context<Env>;
export type HttpApp = Hono<Env>;

/** Lets `handle` answer a call of the protocol. */
export function answer(app: HttpApp, { method, path }: ProtocolCall, handle: (c: Call) => Promise<Response>): void {
  app.on(method, path, handle);
}

/** The call's answer as JSON: what the protocol says of it, or it does not compile. */
export function json<S extends z.ZodType>(
  c: Call,
  _call: { answer: S },
  value: z.input<S>,
  status: 200 | 202 = 200,
  headers: Record<string, string> = {},
): Response {
  return c.json(value as object, status, headers);
}
