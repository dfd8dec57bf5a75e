import { runTool } from "../../host/exec/run-tool.ts";
import type { UnitFacts } from "./facts.ts";

/** Any instance of the helper's unit has the properties of all. */
const asked = {
  "cutover-agent.service": "cutover-agent.service",
  "cutover-helper@.service": "cutover-helper@doctor.service",
};

/**
 * What systemd lets the agent and its helper reach, with all drop-ins. Empty for an agent that is no service of this host.
 * @param config the directory of agent.yml: the units have one of their own
 */
export async function unitFacts(config: string): Promise<UnitFacts[]> {
  if (config !== "/etc/cutover") return [];
  const found = await Promise.all(Object.entries(asked).map(([name, unit]) => factsOf(name, unit)));
  return found.filter((facts) => facts !== undefined);
}

async function factsOf(name: string, unit: string): Promise<UnitFacts | undefined> {
  const names = ["LoadState", "ReadWritePaths", "PrivateTmp", "ProtectHome"];
  const shown = await runTool("systemctl", ["show", unit, ...names.map((each) => `--property=${each}`)]).catch(
    () => undefined,
  );
  const value = (property: string) => new RegExp(`^${property}=(.*)$`, "m").exec(shown?.stdout ?? "")?.[1] ?? "";
  if (value("LoadState") !== "loaded") return undefined;
  return {
    name,
    writable: value("ReadWritePaths")
      .split(" ")
      .map((path) => path.replace(/^[-+]+/, ""))
      .filter(Boolean),
    privateTmp: value("PrivateTmp") !== "no",
    seesHome: value("ProtectHome") === "no",
  };
}
