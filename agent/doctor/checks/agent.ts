import { isLoopback } from "../../settings-values.ts";
import type { HostFacts } from "../facts/facts.ts";
import type { LastWords } from "../facts/last-words.ts";
import { error, type Finding, warning } from "../finding.ts";

export function agent({ agent, version, settings, apps }: HostFacts): Finding[] {
  return [...runs({ agent, version }), ...speaks(settings), ...isReached(settings, apps), ...isOld(agent)];
}

/** A workflow runs elsewhere, unless its runner is this host itself. */
function isReached({ names, listen }: HostFacts["settings"], apps: HostFacts["apps"]): Finding[] {
  const known = names.length > 0 ? names : [listen];
  const far = apps.find(({ settings }) =>
    settings?.trust?.some(({ github }) => github !== undefined && github.runner !== "self-hosted"),
  );
  if (far === undefined || !known.every((name) => isLoopback(new URL(`http://${name}`)))) return [];
  return [
    warning("agent", {
      what: `No workflow can reach this agent: agent.yml gives it no other name than ${known.join(", ")}.`,
      why: `${far.app} is deployed from GitHub, whose runners are elsewhere, and a token is good for one of \`names\` alone.`,
      fix: "Write `listen`, `names` and `tls` into agent.yml, or behind nginx `names` alone, then `systemctl restart cutover-agent`.",
    }),
  ];
}

/** It reads agent.yml once, when it starts. */
function isOld(agent: HostFacts["agent"]): Finding[] {
  if ("failure" in agent || agent.edited !== true) return [];
  return [
    warning("agent", {
      what: "agent.yml was changed after the agent had started.",
      why: "The agent goes on with what the file said before.",
      fix: "`systemctl restart cutover-agent`. No visitor notices.",
    }),
  ];
}

function speaks({ listen, tls, insecure }: HostFacts["settings"]): Finding[] {
  if (!insecure || tls !== undefined || isLoopback(new URL(`http://${listen}`))) return [];
  return [
    warning("agent", {
      what: `The agent speaks plain HTTP on ${listen}, since agent.yml has \`insecure: true\`.`,
      why: "Anybody on the network path can read what is deployed, and use a token before the agent does.",
      fix: "Write `tls` into agent.yml, or listen on 127.0.0.1 behind nginx.",
    }),
  ];
}

function runs({ agent, version }: Pick<HostFacts, "agent" | "version">): Finding[] {
  if ("failure" in agent) return [stopped(agent.failure, agent.last)];
  if (agent.version === version) return [];
  return [
    warning("agent", {
      what: `The running agent has version ${agent.version}, and this program has version ${version}.`,
      why: "After an upgrade the old agent runs until it is restarted.",
      fix: "Restart it: `systemctl restart cutover-agent`. The sites keep serving.",
    }),
  ];
}

function stopped(failure: string, last: LastWords | undefined): Finding {
  const why = "nginx serves the sites without it, but nobody can deploy, roll back or see the status.";
  if (last === undefined) {
    return error("agent", {
      ...{ what: failure, why },
      fix: "`systemctl status cutover-agent` says why it stopped, and what to correct in agent.yml if that is why. Then start it: `systemctl start cutover-agent`.",
    });
  }
  const { said, stays, fix } = last;
  if (stays) {
    return error("agent", {
      ...{ what: `The agent has stopped: ${said}`, why: `${why} systemd does not start it again by itself.` },
      fix: `${fix === undefined ? "Correct that, then" : `${fix} Then`} start it: \`systemctl restart cutover-agent\`. \`systemctl status cutover-agent\` has all that it said.`,
    });
  }
  return error("agent", {
    what: `The agent does not stay up: ${said}`,
    why: `${why} systemd starts it again every second.`,
    fix: `${fix ?? "Correct that."} It comes up by itself then. \`journalctl -u cutover-agent -t cutover-helper -n 30\` has all that it and its helper said.`,
  });
}
