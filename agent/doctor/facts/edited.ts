import { stat } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "../../host/exec/run-tool.ts";

/** Whether agent.yml was changed since systemd has started the agent. @param config its directory: the unit has one of its own */
export async function editedSinceStart(config: string): Promise<boolean> {
  if (config !== "/etc/cutover") return false;
  const words = ["show", "cutover-agent.service", "--timestamp=unix", "--property=ExecMainStartTimestamp"];
  const shown = await runTool("systemctl", words).catch(() => undefined);
  const file = await stat(join(config, "agent.yml")).catch(() => undefined);
  return isLater(shown?.stdout ?? "", file?.mtimeMs);
}

/** @param shown a time in whole seconds, as systemd writes it */
export function isLater(shown: string, changedMs: number | undefined): boolean {
  const [, started] = /=@(\d+)$/m.exec(shown) ?? [];
  return started !== undefined && changedMs !== undefined && changedMs >= (Number(started) + 1) * 1000;
}
