import { request } from "node:http";
import type { HealthAnswer, HealthProbe, HealthRequest, Instance } from "../ports.ts";
import { parseAddress } from "./address.ts";

/** How much of an answer's body is kept: enough for the title of an error page or a traceback's end. */
const excerptBytes = 2048;

/** One GET over an instance's own socket, as nginx would send it for a visitor who came by HTTPS. */
export class SocketProbe implements HealthProbe {
  readonly #userAgent: string;

  /** @param version cutover's, for the User-Agent */
  constructor(version: string) {
    this.#userAgent = `cutover-health/${version}`;
  }

  check(instance: Instance, { path, host, timeoutMs }: HealthRequest): Promise<HealthAnswer> {
    return new Promise((resolve) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const call = request(
        {
          ...destination(instance),
          path,
          agent: false,
          signal,
          headers: {
            Host: host,
            "User-Agent": this.#userAgent,
            Accept: "*/*",
            // Django redirects or refuses otherwise where it is told to insist on HTTPS.
            "X-Forwarded-Proto": "https",
            Connection: "close",
          },
        },
        (response) => {
          const { statusCode = 0, headers } = response;
          let body = Buffer.alloc(0);
          const done = () => {
            const text = body.subarray(0, excerptBytes).toString("utf8");
            resolve({ kind: "status", status: statusCode, body: text, location: headers.location });
            call.destroy();
          };
          response.on("data", (part: Buffer) => {
            body = Buffer.concat([body, part]);
            if (body.length >= excerptBytes) done();
          });
          response.on("end", done);
          // The status stands, also where the body breaks off.
          response.on("error", done);
        },
      );
      call.on("error", (error) => {
        const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : explain(error);
        resolve({ kind: "unreachable", reason });
      });
      call.end();
    });
  }
}

function destination({ address }: Instance): { socketPath: string } | { host: string; port: number } {
  const place = parseAddress(address);
  return "socket" in place ? { socketPath: place.socket } : { host: "127.0.0.1", port: place.port };
}

function explain(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "its socket is not there yet";
    case "ECONNREFUSED":
      return "nothing listens on its socket";
    case "EACCES":
      return "the agent may not open its socket";
    case "ECONNRESET":
    case "EPIPE":
      return "it closed the connection without an answer";
    default:
      return error.code?.startsWith("HPE_") ? "its answer is not HTTP" : error.message;
  }
}
