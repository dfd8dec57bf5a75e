import type { Accepted, DeploymentView } from "../../shared/protocol.ts";
import type { AgentClient } from "./client.ts";
import type { Context } from "./context.ts";
import { printJson } from "./terminal.ts";
import { renderEvent } from "./view.ts";

/** Shows a deployment's events as they happen. @returns the exit code: 1 when it failed or was aborted */
export async function follow(context: Context, client: AgentClient, { deployment }: Accepted): Promise<number> {
  let end: DeploymentView | undefined;
  for await (const event of client.events(deployment)) {
    if (event.type === "end") end = event.deployment;
    if (!context.json) context.terminal.stdout.write(renderEvent(event, { style: context.style }));
  }
  if (context.json && end !== undefined) printJson(context.terminal, end);
  return end?.outcome === "succeeded" || end?.outcome === "staged" ? 0 : 1;
}
