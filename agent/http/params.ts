import type { z } from "zod";
import { deploymentId } from "../../shared/audience.ts";
import { CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { appName, releaseId } from "../../shared/names.ts";
import { leaseHeader, leaseSecret } from "../../shared/protocol.ts";
import type { Call } from "./call.ts";
import { readJson } from "./request-body.ts";

/** A name in the path that breaks the grammar cannot exist. @throws CutoverError app_not_found */
export function appParam(text: string | undefined): string {
  return named(appName, text, "app_not_found", "an app's name");
}

export function releaseParam(text: string | undefined): string {
  const what = "a release's id, like 20261121T103000Z-3f2c1ab";
  return named(releaseId, text, "release_not_found", what, "`cutover releases` on the host lists the ids.");
}

export function deploymentParam(text: string | undefined): string {
  return named(deploymentId, text, "deployment_not_found", "a deployment's id");
}

/** undefined if the sender does not say. */
export function lengthHeader(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** undefined if the caller brings none. @throws CutoverError request_invalid */
export function leaseParam(c: Call): string | undefined {
  const text = c.req.header(leaseHeader);
  const result = leaseSecret.optional().safeParse(text);
  if (result.success) return result.data;
  throw new CutoverError("request_invalid", `The header ${leaseHeader} is no secret of a lease.`, {
    unchanged: "Nothing was changed.",
    fix: "It has 43 characters of A-Z, a-z, 0-9, _ and -: 32 random bytes in base64url.",
  });
}

function named(
  schema: z.ZodType<string>,
  text: string | undefined,
  code: ErrorCode,
  what: string,
  fix?: string,
): string {
  const result = schema.safeParse(text);
  if (result.success) return result.data;
  throw new CutoverError(code, `${JSON.stringify((text ?? "").slice(0, 100))} is not ${what}.`, {
    unchanged: "Nothing was changed.",
    ...(fix !== undefined && { fix }),
  });
}

/** The query of a call. @throws CutoverError request_invalid */
export function queryOf<S extends z.ZodType>({ query }: { query: S }, c: Call): z.output<S> {
  return checked(query, c.req.query(), "query");
}

/** The JSON body of a call. @throws CutoverError request_invalid, timed_out */
export async function bodyOf<S extends z.ZodType>({ body }: { body: S }, c: Call): Promise<z.output<S>> {
  return checked(body, await readJson(c.env), "body");
}

/** @throws CutoverError request_invalid, naming everything that is wrong */
export function checked<S extends z.ZodType>(schema: S, value: unknown, where: "query" | "body"): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join(".")}: ${message}` : message,
  );
  throw new CutoverError("request_invalid", `The ${where} is wrong: ${faults.join("; ")}`, {
    unchanged: "Nothing was changed.",
    fix: "https://github.com/cutover/cutover/tree/main/agent/http#the-calls lists each call with what it takes.",
  });
}
