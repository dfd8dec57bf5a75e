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
    .action(async (app: string, options: { yes?: boolean }, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      await client.call(calls.app, { app });
      if (options.yes !== true && !(await confirmed(context, app))) {
        context.show({ app, removed: false }, () => "Nothing was removed.");
        return;
      }
      await client.call(calls.removeApp, { app });
      const file = context.places.appFile(app);
      await rm(file, { force: true });
      context.show({ app, removed: true, file }, () => `Removed ${app} with its releases, its site and ${file}.`);
    });
}

async function confirmed({ terminal }: Context, app: string): Promise<boolean> {
  if (terminal.stdin.isTTY !== true)
    throw usageError(`This stops ${app} and deletes it. There is no terminal to ask on: confirm with --yes.`);
  return confirm(terminal, `Stop ${app} and delete its releases, environments and site from this host?`);
}
