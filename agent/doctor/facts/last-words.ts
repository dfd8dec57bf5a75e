import { settingsStatus } from "../../contracts/exit-status.ts";
import { runTool } from "../../host/exec/run-tool.ts";

const agentUnit = "cutover-agent.service";

/** Why the agent's service is not up. `stays`: systemd does not start it again by itself. */
export interface LastWords {
  said: string;
  /** What to do, if it says so. */
  fix?: string | undefined;
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
  const last = lastReason(await output("journalctl", words), await output("journalctl", helpers));
  return last && { ...last, stays: status === settingsStatus };
}

async function output(program: string, words: string[]): Promise<string> {
  return (await runTool(program, words).catch(() => undefined))?.stdout ?? "";
}

/**
 * The reason in the latest of the service's last words, without the program's name before it and the code after it, and what
 * they say to do, which is their last line. An agent whose helper ends can only say that: the reason is in the helper's.
 */
export function lastReason(journal: string, helpers = ""): Omit<LastWords, "stays"> | undefined {
  const agents = lastOf(journal, "cutover-agent: ");
  const ended = agents?.[0]?.endsWith(" [helper_unreachable]") === true;
  const [said, ...rest] = (ended ? lastOf(helpers, "cutover-helper: ") : undefined) ?? agents ?? [];
  if (said === undefined) return undefined;
  return { said: said.replace(/ \[\w+\]$/, ""), fix: rest.findLast((line) => !line.startsWith("systemd does not ")) };
}

/** The lines of a program from the last one that begins with its name. */
function lastOf(journal: string, name: string): string[] | undefined {
  // Between them may be lines of the log.
  const lines = journal.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  const at = lines.findLastIndex((line) => line.startsWith(name));
  const [first, ...rest] = lines.slice(at);
  return at === -1 || first === undefined ? undefined : [first.slice(name.length), ...rest];
}
