import { passwordFix } from "../../host/supervisor/supervisor-errors.ts";
import type { HostFacts, SupervisorFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

const why = "It starts the releases and keeps them alive; no deploy works without it.";

/** supervisord answers on the socket that agent.yml names. */
export function supervisorRuns({ supervisor, settings }: HostFacts): Finding[] {
  const { socket } = settings.supervisor;
  if (supervisor.socket === "answers") return [];
  const said = silent(supervisor.socket, socket, supervisor.daemons);
  return [error("supervisor-runs", { why, ...said })];
}

/** Why none answers. Of those that run it names each: ending one by mistake would end all of its programs. */
function silent(
  state: Exclude<SupervisorFacts["socket"], "answers">,
  socket: string,
  daemons: SupervisorFacts["daemons"],
): { what: string; fix: string; why?: string } {
  const other = elsewhere(socket, daemons);
  const ours = daemons.find((daemon) => daemon.socket === socket);
  switch (state) {
    case "absent":
      if (ours !== undefined) return lost(socket, ours.pid, "is gone");
      return { what: `supervisord does not run: ${socket} does not exist.`, fix: `${other}${start(other)}` };
    case "stale":
      if (ours !== undefined) return lost(socket, ours.pid, "is not the one that it listens on");
      return {
        what: `${socket} is stale: the file exists, but nothing listens on it.`,
        why: `A killed supervisord leaves its socket behind, and some versions then refuse to start. ${why}`,
        fix: `${other}Remove the file (\`rm ${socket}\`), then start supervisord (\`systemctl start supervisor\`).`,
      };
    case "denied":
      return {
        what: `The user who runs doctor may not open ${socket}.`,
        fix: "Run doctor and the agent as root, or as the user that owns the socket.",
      };
    case "password":
      return { what: `supervisord asks for a name and a password on ${socket}.`, fix: passwordFix };
    case "broken":
      return {
        what: `The program that listens on ${socket} does not answer as supervisord does.`,
        fix: `${other}Read supervisord's log, and check supervisor.socket in agent.yml.`,
      };
  }
}

function elsewhere(socket: string, daemons: SupervisorFacts["daemons"]): string {
  const others = daemons.filter((daemon) => daemon.socket !== undefined && daemon.socket !== socket);
  const places = others.map((daemon) => `${daemon.socket} (pid ${daemon.pid})`).join(", ");
  if (places === "") return "";
  return `A supervisord runs with the socket ${places}: if it is the right one, set supervisor.socket in agent.yml. Otherwise: `;
}

function start(after: string): string {
  return after === ""
    ? "Start it: `systemctl start supervisor`; if it does not stay up, `journalctl -u supervisor` says why."
    : "`systemctl start supervisor`.";
}

function lost(socket: string, pid: number, how: string) {
  return {
    what: `supervisord runs (pid ${pid}), but its socket ${socket} ${how}: something has removed it, or made another.`,
    fix: "At a quiet moment restart supervisord (`systemctl restart supervisor`), which stops all its programs and starts them again. A cleaner of old files must leave its socket: in /run it does.",
  };
}
