import type { IncomingMessage } from "node:http";
import type { HealthAnswer } from "../../contracts/ports.ts";

/** How much of an answer's body is kept: enough for the title of an error page or the end of a traceback. */
const excerptBytes = 2048;

export type Answered = Extract<HealthAnswer, { kind: "status" }>;

/** Reads the beginning of an answer, and calls `done` once. */
export function readAnswer(response: IncomingMessage, done: (answer: Answered) => void): void {
  const { statusCode = 0, headers } = response;
  let body = Buffer.alloc(0);
  const finish = () => {
    const text = body.subarray(0, excerptBytes).toString("utf8");
    const cookie = headers["set-cookie"] === undefined ? {} : ({ cookie: true } as const);
    done({ kind: "status", status: statusCode, body: text, location: headers.location, ...cookie });
  };
  response.on("data", (part: Buffer) => {
    body = Buffer.concat([body, part]);
    if (body.length >= excerptBytes) finish();
  });
  response.on("end", finish);
  // The status counts even if the body breaks off.
  response.on("error", finish);
}
