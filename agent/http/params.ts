import { z } from "zod";
import { deploymentId } from "../../shared/audience.ts";
import { CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { appName, releaseId, runId } from "../../shared/names.ts";

/** Nobody waits longer than this for another deployment, nor for a deployment's end, in one call. */
export const maxWaitSeconds = 3600;
/** A lease is renewed by asking, so it need not be long; and whoever stops asking must not keep an app for long. */
const maxLeaseSeconds = 300;

const seconds = z.coerce.number().int().min(0).max(maxWaitSeconds);
const yesOrNo = z.enum(["true", "false"]).transform((text) => text === "true");

export const callQuery = z.strictObject({ wait: seconds.default(0) });
export const deployQuery = z.strictObject({
  wait: seconds.default(0),
  activate: yesOrNo.default(true),
  release_command: yesOrNo.default(true),
  lease: seconds.max(maxLeaseSeconds).default(0),
  base: releaseId.optional(),
});
export const logsQuery = z.strictObject({
  lines: z.coerce.number().int().min(1).max(10_000).default(100),
  run: runId.optional(),
});
export const historyQuery = z.strictObject({
  app: appName.optional(),
  since: z.iso.datetime().transform(Date.parse).optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(200),
});
export const eventsQuery = z.strictObject({ after: z.coerce.number().int().min(0).optional() });
export const noQuery = z.strictObject({});

/** A name in the path that breaks the grammar is the name of nothing. @throws CutoverError app_not_found */
export function appParam(text: string | undefined): string {
  return named(appName, text, "app_not_found", "an app's name");
}

export function releaseParam(text: string | undefined): string {
  return named(releaseId, text, "release_not_found", "a release's id, like 20261121T103000Z-3f2c1ab");
}

export function deploymentParam(text: string | undefined): string {
  return named(deploymentId, text, "deployment_not_found", "a deployment's id");
}

/** undefined where the sender does not say. */
export function lengthHeader(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function named(schema: z.ZodType<string>, text: string | undefined, code: ErrorCode, what: string): string {
  const result = schema.safeParse(text);
  if (result.success) return result.data;
  throw new CutoverError(code, `The path does not hold ${what} where one belongs.`, {
    unchanged: "Nothing was changed.",
  });
}

/** @throws CutoverError request_invalid, naming all that is wrong */
export function checked<S extends z.ZodType>(schema: S, value: unknown, where: "query" | "body"): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join(".")}: ${message}` : message,
  );
  throw new CutoverError("request_invalid", `The ${where} is wrong: ${faults.join("; ")}`, {
    unchanged: "Nothing was changed.",
    fix: "The README lists each call with what it takes.",
  });
}
