import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { asCutoverError } from "../../../shared/errors.ts";
import { calls } from "../../../shared/protocol.ts";
import type { AgentClient } from "../client.ts";
import { type Context, contextOf, newCommand, usageError } from "../context.ts";
import { confirm } from "../terminal/questions.ts";
import { type AppRow, renderApps } from "../terminal/status.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { renderTrust } from "../terminal/trust.ts";
import { appAddCommand } from "./app-add.ts";

/** `app add`, `app list`, `app show`, `app remove`: for the host's owner. */
export function appCommand(terminal: Terminal): Command {
  return newCommand("app", "add, list, show or remove the apps of this host", "cutover app list")
    .addCommand(appAddCommand(terminal))
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(removeCommand(terminal));
}

function showCommand(terminal: Terminal): Command {
  return newCommand("show", "show who may deploy an app, and which calls they may make", "cutover app show shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.trust, { app });
      context.show(view, () => renderTrust(view));
    });
}

function listCommand(terminal: Terminal): Command {
  return newCommand("list", "list the apps of this host", "cutover app list").action(
    async (_options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const { apps } = await client.call(calls.apps, {});
      const rows = await Promise.all(apps.map((app) => rowOf(client, app)));
      context.show(rows, () => renderApps(rows, context.view()));
    },
  );
}

// One app with broken settings must not hide the others.
async function rowOf(client: AgentClient, app: string): Promise<AppRow> {
  try {
    return { app, view: await client.call(calls.app, { app }) };
  } catch (thrown) {
    return { app, problem: asCutoverError(thrown).message };
  }
}

function removeCommand(terminal: Terminal): Command {
  return newCommand(
    "remove",
    "remove an app from this host, with its releases and its site",
    "cutover app remove shop --yes",
  )
    .argument("<app>", "the app")
    .option("--yes", "do not ask")
    .option("--delete-data", "also what its visitors left: uploads and all else in shared/, which is kept otherwise")
    .action(async (app: string, { yes = false, deleteData: data = false }: RemoveOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      await client.call(calls.app, { app });
      const shared = await context.places.shared(app);
      if (!yes && !(await confirmed(context, app, data ? shared : undefined))) {
        context.show({ app, removed: false }, () => "Nothing was removed.");
        return;
      }
      await client.call(calls.removeApp, { app }, data ? { query: { data } } : {});
      const removed = await removeFiles(context, app, shared);
      context.show({ app, removed: true, ...removed }, () => removedText(app, removed));
    });
}

interface Removed {
  file: string;
  /** Its file of secrets. */
  env?: string;
  /** What its visitors left, if that is still there. */
  kept?: string;
}

/** The files that the host's owner has for an app. */
async function removeFiles({ places }: Context, app: string, shared: string): Promise<Removed> {
  const [file, env] = [places.appFile(app), places.envFile(app)];
  const secrets = existsSync(env);
  for (const path of [file, env]) await rm(path, { force: true });
  return { file, ...(secrets && { env }), ...(existsSync(shared) && { kept: shared }) };
}

function removedText(app: string, { file, env, kept }: Removed): string {
  const secrets = env === undefined ? "" : ` and its secrets, ${env}`;
  const lines = [`Removed ${app} with its releases, its environments and its site, ${file}${secrets}.`];
  if (kept !== undefined)
    lines.push(`Kept ${kept}, which holds what its visitors left. If nobody needs it: \`rm -r ${kept}\`.`);
  return lines.join("\n");
}

interface RemoveOptions {
  yes?: boolean;
  deleteData?: boolean;
}

/** @param data what its visitors left, if that is deleted too */
async function confirmed({ terminal }: Context, app: string, data: string | undefined): Promise<boolean> {
  if (terminal.stdin.isTTY !== true)
    throw usageError(`This stops ${app} and deletes it. There is no terminal to ask on: confirm with --yes.`);
  const uploads = data === undefined ? " What its visitors left (shared/) is kept." : "";
  const also = data === undefined ? "" : `, and all that its visitors left (${data})`;
  const what = `its releases, environments, site, settings and secrets${also}`;
  return confirm(terminal, `Stop ${app} and delete ${what} from this host?${uploads}`);
}
