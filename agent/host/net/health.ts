import { type ClientRequest, type RequestOptions, request } from "node:http";
import { connect } from "node:net";
import type { HealthAnswer, HealthProbe, HealthRequest, Visit } from "../../contracts/ports.ts";
import type { Instance } from "../../contracts/privileged.ts";
import type { AgentSettings } from "../../settings.ts";
import type { OwnVisits } from "../requests/own-visits.ts";
import { type Address, parseAddress } from "./address.ts";
import { readAnswer } from "./health-answer.ts";
import { hasBacklog } from "./proc-net.ts";
import { UwsgiExchange, uwsgiPacket, uwsgiVariables } from "./uwsgi-exchange.ts";
import { visit } from "./visit.ts";

type FrontSettings = Pick<AgentSettings, "trusted_proxies" | "proxy_protocol">;

const noFront: FrontSettings = { trusted_proxies: [], proxy_protocol: [] };

/** Sends a GET directly to an instance, as nginx would for a visitor who came by HTTPS: over HTTP or uwsgi. */
export class SocketProbe implements HealthProbe {
  readonly behindProxies: boolean;
  readonly #userAgent: string;
  readonly #proxyProtocol: readonly number[];
  readonly #visits: OwnVisits | undefined;

  /**
   * @param version of cutover, for the User-Agent
   * @param front what stands in front of nginx: who it is, and the ports at which nginx expects the PROXY protocol
   * @param visits keeps the visits out of the counts of visitors' requests
   */
  constructor(
    version: string,
    { trusted_proxies: proxies, proxy_protocol: ports }: FrontSettings = noFront,
    visits?: OwnVisits,
  ) {
    this.#visits = visits;
    this.behindProxies = proxies.length > 0;
    this.#proxyProtocol = ports;
    this.#userAgent = `cutover-health/${version}`;
  }

  check(instance: Instance, { path: wanted, host, timeoutMs }: HealthRequest): Promise<HealthAnswer> {
    const signal = AbortSignal.timeout(timeoutMs);
    const path = asciiPath(wanted);
    return new Promise((resolve) => {
      const unreachable = (reason: string, how?: NotAnswered) =>
        resolve({ kind: "unreachable", reason, ...(how !== undefined && { how }) });
      const options = {
        ...this.#connection(instance, { path, host }),
        path,
        signal,
        headers: {
          Host: host,
          "User-Agent": this.#userAgent,
          Accept: "*/*",
          // Without it Django redirects or refuses, if it insists on HTTPS.
          "X-Forwarded-Proto": "https",
          Connection: "close",
        },
      };
      let call: ClientRequest;
      try {
        call = request(options);
      } catch (error) {
        return unreachable(`the request cannot be sent: ${(error as Error).message}`);
      }
      call.on("response", (response) =>
        readAnswer(response, { signal }, (answer) => {
          resolve(answer);
          call.destroy();
        }),
      );
      let connected = false;
      call.on("socket", (socket) => socket.once("connect", () => (connected = true)));
      call.on("error", (error: NodeJS.ErrnoException) => {
        if (signal.aborted) void noAnswer(instance, { timeoutMs, connected }).then(resolve);
        else unreachable(explain(error, instance), howOf(error));
      });
      call.end();
    });
  }

  visit(wanted: Visit): Promise<HealthAnswer> {
    const asked = { ...wanted, path: asciiPath(wanted.path) };
    const by = {
      userAgent: this.#userAgent.replace("cutover-health", "cutover-visitor"),
      proxyProtocol: this.#proxyProtocol,
    };
    return this.#visits === undefined ? visit(asked, by) : this.#visits.during((word) => visit(asked, { ...by, word }));
  }

  #connection({ address, protocol }: Instance, asked: { path: string; host: string }): RequestOptions {
    const place = parseAddress(address);
    if (protocol === "http")
      return { agent: false, ...("socket" in place ? { socketPath: place.socket } : tcp(place)) };
    const packet = uwsgiPacket(uwsgiVariables(asked, this.#userAgent));
    return {
      // No `agent` here, not even false: Node would then connect by itself.
      createConnection: () =>
        new UwsgiExchange(connect("socket" in place ? { path: place.socket } : tcp(place)), packet),
    };
  }
}

/** A browser would escape these too. Node refuses to send them. */
function asciiPath(path: string): string {
  return path.replace(/[^\x21-\x7e]+/g, encodeURIComponent);
}

function tcp({ port }: { port: number }): { host: string; port: number } {
  return { host: "127.0.0.1", port };
}

type NotAnswered = Extract<HealthAnswer, { kind: "unreachable" }>["how"];

const notAnswered: Record<string, NotAnswered> = {
  ENOENT: "absent",
  ECONNREFUSED: "absent",
  ECONNRESET: "closed",
  EPIPE: "closed",
  ENETUNREACH: "blocked",
  EHOSTUNREACH: "blocked",
  EPERM: "blocked",
  EACCES: "denied",
};

function howOf({ code = "" }: NodeJS.ErrnoException): NotAnswered {
  return isUnreadable(code) ? "garbled" : notAnswered[code];
}

/** Of Node's parser of HTTP. Headers that are too large are HTTP all the same. */
function isUnreadable(code: string): boolean {
  return code.startsWith("HPE_") && code !== "HPE_HEADER_OVERFLOW";
}

/** A process that is still busy with its start has not even accepted the connection. A firewall makes none. */
async function noAnswer(
  { address, protocol }: Instance,
  { timeoutMs, connected }: { timeoutMs: number; connected: boolean },
): Promise<HealthAnswer> {
  if (await hasBacklog(address).catch(() => false))
    return { kind: "unreachable", reason: `nothing accepted the connection within ${timeoutMs} ms`, how: "waiting" };
  // The kernel connects to a unix socket at once, and what speaks uwsgi connects elsewhere.
  if ("port" in parseAddress(address) && protocol === "http" && !connected)
    return { kind: "unreachable", reason: `no connection was made within ${timeoutMs} ms`, how: "blocked" };
  return { kind: "unreachable", reason: `no answer within ${timeoutMs} ms`, how: "silent" };
}

function explain(error: NodeJS.ErrnoException, { address, protocol }: Instance): string {
  switch (error.code) {
    case "ENOENT":
      return "its socket is not there yet";
    case "ECONNREFUSED":
      return `nothing listens on ${placeOf(parseAddress(address))}`;
    case "EACCES":
      return "the agent may not open its socket";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EPERM":
      return `this host lets no connection through to ${placeOf(parseAddress(address))}`;
    case "ECONNRESET":
    case "EPIPE":
      return `it closed the connection without an answer${protocol === "uwsgi" ? "; it is asked in the uwsgi protocol" : ""}`;
    default:
      return isUnreadable(error.code ?? "") ? "its answer is not HTTP" : error.message;
  }
}

function placeOf(address: Address): string {
  return "socket" in address ? "its socket" : `its port ${address.port}`;
}
