import { dirname, join } from "node:path";
import { runTool } from "../../host/exec/run-tool.ts";
import { appLayout } from "../../host/store/layout.ts";
import type { AgentSettings } from "../../settings.ts";
import type { AppFacts, HelperFacts } from "./facts.ts";
import { entryOf, identityOf, wayTo } from "./paths.ts";

/** What the agent and its helper share; undefined if the agent has no helper. */
export async function helperFacts(
  { data, helper, agent_user }: AgentSettings,
  appsDir: string,
  apps: AppFacts[],
): Promise<HelperFacts | undefined> {
  const [user, socket, made] = await Promise.all([identityOf(agent_user), entryOf(helper), entryOf(data)]);
  const shared =
    made !== undefined && made.uid === 0 && user !== undefined && made.gid !== 0 && user.gids.includes(made.gid);
  if (socket === undefined && !shared) return undefined;
  const settings = [dirname(appsDir), join(dirname(appsDir), "agent.yml"), appsDir, ...apps.map(({ file }) => file)];
  const homes = apps.map(({ app }) => appLayout(data, app));
  const roots = [data, join(data, "apps"), ...homes.flatMap(({ home, releases }) => [home, releases])];
  const entries = async (paths: string[]) =>
    (await Promise.all(paths.map(entryOf))).filter((each) => each !== undefined);
  const { entries: way } = await wayTo(dirname(helper));
  return {
    ...{ path: helper, user, socket, way },
    setfacl: (await runTool("setfacl", ["--version"]).catch(() => undefined))?.code === 0,
    settings: await entries(settings),
    directories: await entries(roots),
  };
}
