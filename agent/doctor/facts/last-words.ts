import { settingsStatus } from "../../contracts/exit-status.ts";
import { runTool } from "../../host/exec/run-tool.ts";

const agentUnit = "cutover-agent.service";

/**
 * What the agent's service said when it ended, if that was a fault in its settings, with which systemd does not start it again;
 * undefined in any other case.
 * @param config the directory of agent.yml: the unit has one of its own
 */
export async function lastWordsOf(config: string): Promise<string | undefined> {
  if (config !== "/etc/cutover") return undefined;
  const shown = await output("systemctl", ["show", agentUnit, "--property=ActiveState,ExecMainStatus"]);
  const [, status] = /^ExecMainStatus=(\d+)$/m.exec(shown) ?? [];
  if (!/^ActiveState=failed$/m.test(shown) || Number(status) !== settingsStatus) return undefined;
  const words = ["--priority=err", "--output=cat", "--no-pager", "--lines=30", `_SYSTEMD_UNIT=${agentUnit}`];
  return lastReason(await output("journalctl", words));
}

async function output(program: string, words: string[]): Promise<string> {
  return (await runTool(program, words).catch(() => undefined))?.stdout ?? "";
}

/** The reason in the latest of the service's last words, without the program's name before it and the code after it. */
export function lastReason(journal: string): string | undefined {
  const said = journal.split("\n").findLast((line) => line.startsWith("cutover-agent: "));
  return said?.replace(/^cutover-agent: /, "").replace(/ \[\w+\]$/, "");
}
