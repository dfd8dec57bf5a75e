import { fstatSync } from "node:fs";
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { CutoverError } from "../shared/errors.ts";
import type { AgentSettings } from "./settings.ts";

/** The agent's log: one JSON object a line. */
export type Logger = PinoLogger;

const secretNames = ["token", "authorization", "Authorization", "password", "secret", "key", "privateKey", "env"];

const maskedPatterns: [RegExp, string][] = [
  [/Bearer\s+[A-Za-z0-9._~+/=-]{8,}/gi, "Bearer [token]"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs, "[private key]"],
];

/** Replaces everything that looks like a token or a private key, anywhere in a line. */
export function mask(line: string): string {
  return maskedPatterns.reduce((text, [pattern, mark]) => text.replace(pattern, mark), withoutTokens(line));
}

/** The part of a JWT before its first dot, and the rest. A run of such characters is read from its beginning alone. */
const tokenLike = /(?<![\w-])([\w-]{8,})\.[\w-]*\.?[\w-]*/g;
/** How the header of each JWT begins: `{"` in base64url. */
const tokenBegin = "eyJ";

/** In a time that grows with the line: anybody's path stands in the log, and may begin a token again and again. */
function withoutTokens(line: string): string {
  const parts: string[] = [];
  let from = 0;
  tokenLike.lastIndex = 0;
  for (let match = tokenLike.exec(line); match !== null; match = tokenLike.exec(line)) {
    const [all, head = ""] = match;
    const at = head.indexOf(tokenBegin);
    if (at === -1 || head.length - at < 8) {
      // The next part may be one.
      tokenLike.lastIndex = match.index + head.length + 1;
      continue;
    }
    parts.push(line.slice(from, match.index + at), "[token]");
    from = match.index + all.length;
  }
  return [...parts, line.slice(from)].join("");
}

interface SerializedError {
  type: string;
  code?: string;
  message: string;
  stack?: string;
  cause?: SerializedError;
}

// Without the evidence: that is an instance's output, which the instance's own log has, and it may hold secrets of the app.
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

/** Of sd-daemon(3): with it `journalctl -p warning` finds the agent's warnings. The journal takes it off the line. */
const priorities: Record<string, number> = { trace: 7, debug: 7, info: 6, warn: 4, error: 3, fatal: 2 };

function withPriority(line: string): string {
  const [, level = "info"] = /"level":"(\w+)"/.exec(line) ?? [];
  return `<${priorities[level] ?? 6}>${line}`;
}

/** Whether standard output is the journal's: see JOURNAL_STREAM in systemd.exec(5). */
export function isJournal(env: NodeJS.ProcessEnv = process.env): boolean {
  const stream = env.JOURNAL_STREAM;
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(1);
  return stream === `${dev}:${ino}`;
}

/** @param destination where the lines go; default: standard output */
export function createLogger(
  level: AgentSettings["log_level"] | "silent",
  destination?: DestinationStream,
  journal = destination === undefined && isJournal(),
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: "[secret]" },
      serializers: { err: (thrown: unknown) => serializeError(thrown) },
      hooks: { streamWrite: (line) => (journal ? withPriority(mask(line)) : mask(line)) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
