import { z } from "zod";
import { failure } from "../../shared/protocol.ts";
import { type HelperMethod, isMethod, type Params, parseParams } from "./methods.ts";

/**
 * The lines between agent and helper: one JSON object a line, each way. A request has an id that the agent chooses, and
 * gets one answer; before it come the lines of output of what runs.
 */

/** Bytes of one line, with its newline. Larger than any configuration that a manifest may hold in practice. */
export const longestRequest = 4 * 1024 * 1024;
/** More requests at once are refused. The agent has a few at once, for each of its apps. */
export const mostAtOnce = 256;

const id = z
  .int()
  .min(1)
  .max(2 ** 48);

export interface HelperRequest<M extends HelperMethod = HelperMethod> {
  id: number;
  method: M;
  params: Params[M];
}

/** Ends what a request has begun, if it can be ended. The request still gets its answer. */
export interface Cancellation {
  cancel: number;
}

const request = z.strictObject({ id, method: z.string(), params: z.unknown() });
const cancellation = z.strictObject({ cancel: id });

/** @returns undefined for what is none of the two, or has params of another shape than its method takes */
export function parseMessage(json: unknown): HelperRequest | Cancellation | undefined {
  const message = z.union([request, cancellation]).safeParse(json).data;
  if (message === undefined || "cancel" in message) return message;
  const { id, method, params } = message;
  if (!isMethod(method)) return undefined;
  const parsed = parseParams(method, params);
  return parsed.success ? { id, method, params: parsed.data } : undefined;
}

/** The first line of a connection is `helper`, with its version. The id is 0 if the request had none. */
export const helperAnswer = z.union([
  z.strictObject({ helper: z.string() }),
  z.strictObject({ id: z.int(), output: z.tuple([z.string(), z.string()]) }),
  z.strictObject({ id: z.int(), error: failure }),
  z.strictObject({ id: z.int(), result: z.unknown().optional() }),
]);
export type HelperAnswer = z.output<typeof helperAnswer>;
