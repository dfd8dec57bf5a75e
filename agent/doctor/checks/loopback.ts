import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** The agent asks instances on ports, and nginx as a visitor, at 127.0.0.1; nginx asks the instances there. */
export function loopback({ loopback: fault }: HostFacts): Finding[] {
  if (fault === undefined) return [];
  return [
    error("loopback", {
      what: `This host cannot connect to itself at 127.0.0.1: ${fault}.`,
      why: "Health checks on ports and the agent's visits through nginx go there, so deploys fail; nginx reaches no instance on a port.",
      fix: "`ip link set lo up`. A firewall must accept the interface lo: `nft list ruleset` or `iptables -S` shows its rules.",
    }),
  ];
}
