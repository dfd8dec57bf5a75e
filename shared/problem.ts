import { z } from "zod";
import { CutoverError, type ErrorCode, type Evidence, errorCodes } from "./errors.ts";
import { ownText } from "./own-text.ts";

/**
 * Why something failed, for a person. `code` is one of shared/errors.ts, kept open so that an older client reads a
 * newer agent.
 */
export const failure = z.object({
  code: z.string(),
  detail: z.string(),
  unchanged: z.string().optional(),
  fix: z.string().optional(),
  evidence: z.array(z.object({ source: z.string(), text: z.string() })).optional(),
  /** Where in the project the cause is. */
  frame: z.object({ file: z.string(), line: z.int() }).optional(),
});
export type Failure = z.output<typeof failure>;

export function toFailure({ code, message, unchanged, fix, evidence, frame }: CutoverError): Failure {
  return {
    code,
    detail: message,
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    ...(evidence.length > 0 && { evidence: ends(evidence) }),
    ...(frame !== undefined && { frame }),
  };
}

/** In UTF-16 units, of one source and of all: an app may say megabytes, which views, journals and events would carry along. */
const evidenceLimit = { each: 16 * 1024, all: 64 * 1024 } as const;

/** The end of each text, which says most. */
function ends(evidence: Evidence[]): Evidence[] {
  let left: number = evidenceLimit.all;
  return evidence.map(({ source, text }) => {
    const length = Math.min(text.length, evidenceLimit.each, left);
    left -= length;
    return { source, text: length === text.length ? text : ownText(`…${text.slice(text.length - length)}`) };
  });
}

/** The same as the answer to a call: an RFC 9457 problem document. */
export const problem = failure.extend({
  type: z.string().default("about:blank"),
  title: z.string(),
  status: z.int(),
});
export type Problem = z.output<typeof problem>;

/** An error as the answer to a call, without its cause. */
export function toProblem(error: CutoverError, status: number): Problem {
  return { type: "about:blank", title: errorCodes[error.code], status, ...toFailure(error) };
}

/**
 * The error again at the caller's side. A code that this version does not know becomes `internal` and stays in the
 * message.
 */
export function fromProblem({ code, detail, unchanged, fix, evidence, frame }: Failure): CutoverError {
  const parts = {
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    ...(evidence !== undefined && { evidence }),
    ...(frame !== undefined && { frame }),
  };
  return isErrorCode(code)
    ? new CutoverError(code, detail, parts)
    : new CutoverError("internal", `${code}: ${detail}`, parts);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}
