import type { Command } from "commander";
import { releaseView, repairView, routes } from "../../../shared/protocol.ts";
import { contextOf, newCommand, type SetExit } from "../context.ts";

import { safe, type Terminal } from "../terminal/terminal.ts";

/** `pin`, `unpin` and `repair`: what an operator does to an app beside its deployments. */
export function upkeepCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [
    pinCommand(terminal, "pin", "keep a release on this host, however many come after it", "PUT"),
    pinCommand(terminal, "unpin", "let a release go again when its time has come", "DELETE"),
    repairCommand(terminal, setExit),
  ];
}

function pinCommand(terminal: Terminal, name: "pin" | "unpin", text: string, method: "PUT" | "DELETE"): Command {
  return newCommand(name, text, `cutover ${name} shop 20261121T103000Z-3f2c1ab`)
    .argument("<app>", "the app")
    .argument("<release>", "the release, as `cutover releases` lists it")
    .action(async (app: string, release: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const path = routes.pin(encodeURIComponent(app), encodeURIComponent(release));
      const view = await client.call(releaseView, method, path);
      context.show(view, () => `${view.id} of ${app} is ${view.pinned === true ? "pinned" : "not pinned"}.`);
    });
}

function repairCommand(terminal: Terminal, setExit: SetExit): Command {
  const text = "try again what holds an app, and make a state that cannot be read anew from what is on the host";
  return newCommand("repair", text, "cutover repair shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(repairView, "POST", routes.repair(encodeURIComponent(app)));
      const end = view.held === undefined ? `${app} takes deployments.` : `${app} is still held: ${view.held}`;
      context.show(view, () => [...view.done.map((line) => `- ${safe(line)}`), safe(end)].join("\n"));
      if (view.held !== undefined) setExit(1);
    });
}
