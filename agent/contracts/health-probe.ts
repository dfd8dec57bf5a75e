import type { ListenAddress } from "../../shared/config-values.ts";
import type { Instance } from "./privileged.ts";

/**
 * `body` is the beginning of the answer's body, at most 2,048 bytes (16,384 for a visitor); `location` is the header of a
 * redirect; `cookie` whether the answer sets one; `broken` whether the connection was closed in the middle of the body; `headerBytes`
 * how much its headers have. `how` an instance did not answer: it does not listen, it has not accepted the connection, it
 * accepted and said nothing in time, it closed the connection, the host let no connection through to it, the agent may not open
 * its socket, or its answer is not in the protocol that it was asked in.
 */
export type HealthAnswer =
  | {
      kind: "status";
      status: number;
      body: string;
      location: string | undefined;
      cookie?: true;
      broken?: true;
      headerBytes?: number;
    }
  | {
      kind: "unreachable";
      reason: string;
      how?: "absent" | "waiting" | "silent" | "closed" | "blocked" | "denied" | "garbled";
    };

export interface HealthProbe {
  /** Whether something stands in front of nginx, such as a load balancer that ends TLS. */
  readonly behindProxies?: boolean;
  /** Sends one request to one instance, in the protocol that the instance speaks. Never throws for what the instance does. */
  check(instance: Instance, request: HealthRequest): Promise<HealthAnswer>;
  /** Sends one request to nginx on this host, as a visitor does, and follows no redirect. Never throws for what comes back. */
  visit(visit: Visit): Promise<HealthAnswer>;
}

export interface Visit {
  /** An address of the site, as in `listen` of cutover.yml: a port, or address:port, with ` ssl` after it for TLS. */
  address: ListenAddress;
  /** The Host header, and the name for TLS. */
  host: string;
  /** With its query. */
  path: string;
  timeoutMs: number;
}

export interface HealthRequest {
  /** With its query. */
  path: string;
  /** The Host header. */
  host: string;
  timeoutMs: number;
}
