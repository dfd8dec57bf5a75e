import { settingsStatus } from "../../contracts/exit-status.ts";
import { runTool } from "../../host/exec/run-tool.ts";

const agentUnit = "cutover-agent.service";

/** Why the agent's service is not up. `stays`: systemd does not start it again by itself. */
export interface LastWords {
  said: string;
  stays: boolean;
}

/**
 * What the agent's service said when it ended; undefined if it did not end with an error.
 * @param config the directory of agent.yml: the unit has one of its own
 */
export async function lastWordsOf(config: string): Promise<LastWords | undefined> {
  if (config !== "/etc/cutover") return undefined;
  const shown = await output("systemctl", ["show", agentUnit, "--property=ActiveState,ExecMainStatus"]);
  const [, state = ""] = /^ActiveState=(\w+)$/m.exec(shown) ?? [];
  const status = Number(/^ExecMainStatus=(\d+)$/m.exec(shown)?.[1] ?? 0);
  if (status === 0 || !["failed", "activating"].includes(state)) return undefined;
  const words = ["--priority=err", "--output=cat", "--no-pager", "--lines=30", `_SYSTEMD_UNIT=${agentUnit}`];
  const helpers = ["--output=cat", "--no-pager", "--lines=30", "--identifier=cutover-helper"];
  const said = lastReason(await output("journalctl", words), await output("journalctl", helpers));
  return said === undefined ? undefined : { said, stays: status === settingsStatus };
}

async function output(program: string, words: string[]): Promise<string> {
  return (await runTool(program, words).catch(() => undefined))?.stdout ?? "";
}

/**
 * The reason in the latest of the service's last words, without the program's name before it and the code after it. An agent
 * whose helper ends can only say that: the reason is in the helper's.
 */
export function lastReason(journal: string, helpers = ""): string | undefined {
  const said = lastOf(journal, "cutover-agent: ");
  if (said?.endsWith(" [helper_unreachable]") === true) return withoutCode(lastOf(helpers, "cutover-helper: ") ?? said);
  return said && withoutCode(said);
}

function lastOf(journal: string, name: string): string | undefined {
  return journal
    .split("\n")
    .findLast((line) => line.startsWith(name))
    ?.slice(name.length);
}

function withoutCode(said: string): string {
  return said.replace(/ \[\w+\]$/, "");
}
