import { join } from "node:path";
import { CutoverError } from "../../shared/errors.ts";
import { readAgentSettings } from "../host/store/apps-dir.ts";
import type { AgentSettings } from "../settings.ts";
import { judge } from "./checks.ts";
import { editedSinceStart } from "./facts/edited.ts";
import type { AgentFacts } from "./facts/facts.ts";
import { hostFacts } from "./facts/host.ts";
import { lastWordsOf } from "./facts/last-words.ts";
import { error, type Finding } from "./finding.ts";

export interface DoctorOptions {
  /** The directory of agent.yml and apps/. */
  config: string;
  version: string;
  now: number;
  /** Also what an upgrade of the distribution would do. */
  upgrade?: boolean;
  /** Asks the agent for its version. The agent may be down: doctor needs it for nothing else. */
  askAgent(socket: string): Promise<AgentFacts>;
}

/** Finds what is wrong with this host. It only looks: a person does what the findings say. */
export async function examine({ config, version, now, upgrade = false, askAgent }: DoctorOptions): Promise<Finding[]> {
  const file = join(config, "agent.yml");
  const settings = await readAgentSettings(file).catch((thrown: unknown) => {
    if (thrown instanceof CutoverError) return thrown;
    throw thrown;
  });
  // Without agent.yml nobody knows where everything else is.
  if (settings instanceof CutoverError) return faultsOf(settings);
  const agent = await askAgent((settings satisfies AgentSettings).socket);
  if ("failure" in agent) agent.last = await lastWordsOf(config);
  else if (await editedSinceStart(config)) agent.edited = true;
  return judge(await hostFacts({ settings, appsDir: join(config, "apps"), agent, version, now, upgrade }));
}

function faultsOf({ message }: CutoverError): Finding[] {
  return message.split("\n").map((what) =>
    error("agent-settings", {
      what,
      why: "The agent does not start with this file. Doctor could not check anything else.",
      fix: "Correct the line, then run doctor again.",
    }),
  );
}
