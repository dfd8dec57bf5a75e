import { CutoverError, type ErrorCode, errorCodes } from "./errors.ts";
import { type Failure, type Problem, toFailure } from "./protocol.ts";

/** An error as the answer to a call, without its cause. */
export function toProblem(error: CutoverError, status: number): Problem {
  return { type: "about:blank", title: errorCodes[error.code], status, ...toFailure(error) };
}

/** The error again at the caller's side. A code that this version does not know becomes `internal` and stays in the message. */
export function fromProblem({ code, detail, unchanged, fix, evidence }: Failure): CutoverError {
  const parts = {
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    ...(evidence !== undefined && { evidence }),
  };
  return isErrorCode(code)
    ? new CutoverError(code, detail, parts)
    : new CutoverError("internal", `${code}: ${detail}`, parts);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}
