import type { HostFacts } from "../facts.ts";
import { error, type Finding, warning } from "../finding.ts";

export function agent({ agent, version }: HostFacts): Finding[] {
  if ("failure" in agent) {
    return [
      error("agent", {
        what: agent.failure,
        why: "The sites are served without it, but nothing can be deployed, rolled back or looked at.",
        fix: "Start it (`systemctl start cutover-agent`) and read its log (`journalctl -u cutover-agent`).",
      }),
    ];
  }
  if (agent.version === version) return [];
  return [
    warning("agent", {
      what: `The agent that runs is version ${agent.version}, and this program is ${version}.`,
      why: "After an upgrade the old agent goes on until it is started anew.",
      fix: "Restart it: `systemctl restart cutover-agent`. The sites do not notice.",
    }),
  ];
}
