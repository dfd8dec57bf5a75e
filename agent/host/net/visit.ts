import { type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { portOf } from "../../../shared/config-site.ts";
import type { HealthAnswer, Visit } from "../../contracts/ports.ts";
import { passedHeader, visitHeader } from "../nginx/front.ts";
import { type Answered, pageBytes, readAnswer } from "./health-answer.ts";
import { proxyConnection } from "./proxy-protocol.ts";

export interface Visiting {
  userAgent: string;
  /** The ports of nginx at which it expects the PROXY protocol. */
  proxyProtocol: readonly number[];
  /** The word by which nginx knows that this is no visitor's request. */
  word?: string;
}

/**
 * Asks nginx on this host as a visitor's browser does: over the address where the site listens, with its name. Certificates are
 * not judged: the visitor's name may not lead here yet, and doctor looks at them.
 */
export function visit({ address, host, path, timeoutMs }: Visit, by: Visiting): Promise<HealthAnswer> {
  const secure = isSecure(address);
  const port = portOf(address);
  const signal = AbortSignal.timeout(timeoutMs);
  const options: RequestOptions & { rejectUnauthorized: boolean; servername: string } = {
    ...{ host: localHost(address), port, path, signal },
    ...(by.proxyProtocol.includes(port)
      ? { createConnection: proxyConnection({ host: localHost(address), port }, secure ? host : undefined) }
      : { agent: false }),
    rejectUnauthorized: false,
    servername: host,
    headers: {
      Host: port === (secure ? 443 : 80) ? host : `${host}:${port}`,
      "User-Agent": by.userAgent,
      Accept: "text/html,*/*",
      Connection: "close",
      // A peer would answer with a release of its own.
      [passedHeader]: "1",
      ...(by.word !== undefined && { [visitHeader]: by.word }),
    },
  };
  return new Promise((resolve) => {
    const unreachable = (reason: string, how?: "absent" | "silent" | "closed") =>
      resolve({ kind: "unreachable", reason, ...(how !== undefined && { how }) });
    try {
      const call = secure ? requestHttps(options) : requestHttp(options);
      call.on("response", (response) =>
        readAnswer(response, { signal, most: pageBytes }, (answer: Answered) => {
          resolve(answer);
          call.destroy();
        }),
      );
      call.on("error", ({ message, code }: NodeJS.ErrnoException) => {
        if (signal.aborted) unreachable(`no answer within ${timeoutMs} ms`, "silent");
        else if (code === "ECONNREFUSED") unreachable(`nothing listens on port ${port}`, "absent");
        else unreachable(message);
      });
      call.end();
    } catch (error) {
      unreachable(`the request cannot be sent: ${(error as Error).message}`);
    }
  });
}

function isSecure(address: Visit["address"]): boolean {
  return String(address).endsWith(" ssl");
}

/** Where this host reaches an address of nginx. */
function localHost(address: Visit["address"]): string {
  const [place = ""] = String(address).split(" ");
  const host = place.includes(":") ? place.slice(0, place.lastIndexOf(":")).replace(/^\[|\]$/g, "") : "";
  if (host === "" || host === "0.0.0.0" || host === "*") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}
