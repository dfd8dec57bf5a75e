import { isLoopback } from "../../settings-values.ts";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

export function agent({ agent, version, settings }: HostFacts): Finding[] {
  return [...runs({ agent, version }), ...speaks(settings)];
}

function speaks({ listen, tls, insecure }: HostFacts["settings"]): Finding[] {
  if (!insecure || tls !== undefined || isLoopback(new URL(`http://${listen}`))) return [];
  return [
    warning("agent", {
      what: `The agent speaks plain HTTP at ${listen}, since agent.yml has \`insecure: true\`.`,
      why: "Who listens on the way can use a token before the agent does, and sees what is deployed.",
      fix: "Write `tls` into agent.yml, or listen on 127.0.0.1 behind nginx.",
    }),
  ];
}

function runs({ agent, version }: Pick<HostFacts, "agent" | "version">): Finding[] {
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
