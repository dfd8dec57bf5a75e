import type { Command } from "commander";
import { calls } from "../../../shared/protocol.ts";
import { contextOf, newCommand } from "../context.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** `maintenance on` and `maintenance off`: close the site to visitors, without a reload of nginx. */
export function maintenanceCommand(terminal: Terminal): Command {
  return newCommand("maintenance", "close an app's site to visitors, and open it again", "cutover maintenance on shop")
    .addCommand(onCommand(terminal))
    .addCommand(offCommand(terminal));
}

function onCommand(terminal: Terminal): Command {
  return newCommand(
    "on",
    "answer visitors with 503 and a page; deployments go on as usual",
    "cutover maintenance on shop --allow 203.0.113.7",
  )
    .argument("<app>", "the app")
    .option("--allow <address...>", "addresses of visitors who still see the site; replaces earlier ones")
    .action(async (app: string, { allow = [] }: { allow?: string[] }, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.closeSite, { app }, { body: { allow } });
      const who = view.allow.length === 0 ? "all visitors" : `all but ${view.allow.join(", ")}`;
      context.show(view, () => `${app} is closed for maintenance to ${who}.`);
    });
}

function offCommand(terminal: Terminal): Command {
  return newCommand("off", "open the site again", "cutover maintenance off shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      await client.call(calls.openSite, { app });
      context.show({ app, maintenance: false }, () => `${app} is open.`);
    });
}
