import type { ErrorCode } from "../../shared/errors.ts";
import { cleanLine } from "../runner/log.ts";

/** An answer that is not the agent's. All of it is untrusted text. */
export interface ProxyAnswer {
  status: number;
  text: string;
  /** Where a redirect leads; empty if there is none. */
  location: string;
  /** The authority of the address. */
  host: string;
}

interface Words {
  code: ErrorCode;
  message: string;
  fix: string;
}

const pass = "it must pass on /healthz and /v1/ unchanged";

/** What answers instead of an agent, and what to do about it. */
export function explainProxy({ status, text, location, host }: ProxyAnswer): Words {
  const notAgent = `What answers at ${host} is not the agent: HTTP ${status}`;
  const code = "agent_incompatible";
  // The words of nginx, of Apache and of Go's servers.
  if (
    status === 400 &&
    /plain HTTP request was sent to HTTPS|speaking plain HTTP to an SSL|HTTP request to an HTTPS/.test(text)
  ) {
    return {
      code,
      message: `What answers at ${host} wants TLS.`,
      fix: `Write the address in hosts as https://${host}.`,
    };
  }
  switch (status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return {
        code,
        message: `${notAgent}, a redirect${location === "" ? "" : ` to ${cleanLine(location).slice(0, 200)}`}.`,
        fix: "Write the address of the agent itself into hosts. If a proxy in front of it redirects to https:// or to a login, write https://, or let it pass on /healthz and /v1/.",
      };
    case 401:
    case 403:
    case 407:
      return {
        code,
        message: `${notAgent}. A proxy or a firewall in front of it refuses this runner.`,
        fix: `Let it through there: the agent checks each call's token itself, and ${pass}.`,
      };
    case 413:
      return {
        code,
        message: `A proxy in front of the agent at ${host} takes no upload of this size (HTTP 413).`,
        fix: "Raise the proxy's limit; in nginx that is `client_max_body_size 0;`.",
      };
    case 502:
    case 503:
    case 504:
      return {
        code: "agent_unreachable",
        message: `A proxy answers at ${host}, and does not reach the agent: HTTP ${status}.`,
        fix: "On the host, `systemctl status cutover-agent` says whether the agent runs. The proxy must pass to the address of `listen` in /etc/cutover/agent.yml.",
      };
    default:
      return {
        code,
        message: `${notAgent}.`,
        fix: `Check the address and its port, and the proxy in front of the agent if there is one: ${pass}.`,
      };
  }
}
