import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { CutoverError } from "../shared/errors.ts";
import type { AgentSettings } from "./settings.ts";

/** The agent's log: one JSON object a line. */
export type Logger = PinoLogger;

const secretNames = ["token", "authorization", "Authorization", "password", "secret", "key", "privateKey", "env"];

const maskedPatterns: [RegExp, string][] = [
  [/eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*/g, "[token]"],
  [/Bearer\s+[A-Za-z0-9._~+/=-]{8,}/gi, "Bearer [token]"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs, "[private key]"],
];

/** Takes out whatever looks like a token or a private key, wherever it stands in a line. */
export function mask(line: string): string {
  return maskedPatterns.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line);
}

interface SerializedError {
  type: string;
  code?: string;
  message: string;
  stack?: string;
  cause?: SerializedError;
}

// Evidence stays out: it is an instance's output, which stands in the instance's own log and may hold secrets of the app.
function serializeError(thrown: unknown, depth = 0): SerializedError {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: String(thrown) };
  const code = (thrown as { code?: unknown }).code;
  const expected = thrown instanceof CutoverError && thrown.code !== "internal";
  return {
    type: thrown.name,
    ...(typeof code === "string" ? { code } : {}),
    message: thrown.message,
    ...(expected || thrown.stack === undefined ? {} : { stack: thrown.stack }),
    ...(thrown.cause === undefined || depth > 4 ? {} : { cause: serializeError(thrown.cause, depth + 1) }),
  };
}

/** @param destination where lines go; standard output unless given */
export function createLogger(level: AgentSettings["log_level"] | "silent", destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: "[secret]" },
      serializers: { err: (thrown: unknown) => serializeError(thrown) },
      hooks: { streamWrite: mask },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
