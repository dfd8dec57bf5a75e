import type { IncomingMessage } from "node:http";
import type { HealthAnswer } from "../../contracts/ports.ts";

/** How much of an answer's body is kept: enough for the title of an error page or the end of a traceback. */
const excerptBytes = 2048;
/** Of a page that a visitor gets: its head names the style sheets. */
export const pageBytes = 16 * 1024;

/** Less than any nginx reads: not worth telling. */
const smallestBuffer = 3072;

export type Answered = Extract<HealthAnswer, { kind: "status" }>;

/**
 * Reads the beginning of an answer, and calls `done` once.
 * @param signal that of the request, which ends it at the time limit
 */
export function readAnswer(
  response: IncomingMessage,
  { signal, most = excerptBytes }: { signal: AbortSignal; most?: number },
  done: (answer: Answered) => void,
): void {
  const { statusCode = 0, headers, rawHeaders } = response;
  // A name and its value each have a separator of two characters.
  const headerBytes = rawHeaders.reduce((sum, part) => sum + part.length + 2, 0);
  let body = Buffer.alloc(0);
  const finish = (broken?: { broken: true }) => {
    const text = body.subarray(0, most).toString("utf8");
    const cookie = headers["set-cookie"] === undefined ? {} : ({ cookie: true } as const);
    const size = headerBytes > smallestBuffer ? { headerBytes } : {};
    done({ kind: "status", status: statusCode, body: text, location: headers.location, ...cookie, ...broken, ...size });
  };
  response.on("data", (part: Buffer) => {
    body = Buffer.concat([body, part]);
    if (body.length >= most) finish();
  });
  response.on("end", () => finish());
  // The status counts also of a body that is not over at the time limit.
  response.on("error", () => finish(signal.aborted ? undefined : { broken: true }));
}
