import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** supervisord answers on the socket that agent.yml names. */
export function supervisorRuns({ supervisor, settings }: HostFacts): Finding[] {
  const { socket } = settings.supervisor;
  const others = supervisor.daemons.filter((daemon) => daemon.socket !== undefined && daemon.socket !== socket);
  const elsewhere = others.map((daemon) => `${daemon.socket} (pid ${daemon.pid})`).join(", ");
  const why = "It starts the releases and keeps them alive; no deploy works without it.";
  const start = "Start it: `systemctl start supervisor`.";
  const other =
    elsewhere === ""
      ? ""
      : ` A supervisord answers on ${elsewhere}: if it is the right one, set supervisor.socket in agent.yml.`;
  switch (supervisor.socket) {
    case "answers":
      return [];
    case "absent":
      return [
        error("supervisor-runs", {
          what: `supervisord does not run: ${socket} does not exist.`,
          why,
          fix: `${start}${other}`,
        }),
      ];
    case "stale":
      return [
        error("supervisor-runs", {
          what: `${socket} is stale: the file exists, but nothing listens on it.`,
          why: `A killed supervisord leaves its socket behind, and some versions then refuse to start. ${why}`,
          fix: `Remove it (\`rm ${socket}\`), then start supervisord (\`systemctl start supervisor\`).${other}`,
        }),
      ];
    case "denied":
      return [
        error("supervisor-runs", {
          what: `The user who runs doctor may not open ${socket}.`,
          why,
          fix: "Run doctor and the agent as root, or as the user that owns the socket.",
        }),
      ];
    case "broken":
      return [
        error("supervisor-runs", {
          what: `The program that listens on ${socket} does not answer as supervisord does.`,
          why,
          fix: `Read supervisord's log, and check supervisor.socket in agent.yml.${other}`,
        }),
      ];
  }
}
