import type { Command } from "commander";
import { calls } from "../../../shared/protocol.ts";
import { contextOf, newCommand, type SetExit } from "../context.ts";

import { safe, type Terminal } from "../terminal/terminal.ts";

/** `pin`, `unpin` and `repair`: for operators, apart from deployments. */
export function upkeepCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [
    pinCommand(terminal, "pin", "keep a release on this host, however many follow it"),
    pinCommand(terminal, "unpin", "let a release be removed again when newer ones replace it"),
    repairCommand(terminal, setExit),
  ];
}

function pinCommand(terminal: Terminal, name: "pin" | "unpin", text: string): Command {
  return newCommand(name, text, `cutover ${name} shop 20261121T103000Z-3f2c1ab`)
    .argument("<app>", "the app")
    .argument("<release>", "the release, as `cutover releases` lists it")
    .action(async (app: string, release: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls[name], { app, release });
      context.show(view, () => `${view.id} of ${app} is ${view.pinned === true ? "pinned" : "not pinned"}.`);
    });
}

function repairCommand(terminal: Terminal, setExit: SetExit): Command {
  const text = "try to finish or undo what holds an app; rebuild a state file that cannot be read";
  return newCommand("repair", text, "cutover repair shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.repair, { app });
      const end = view.held === undefined ? `${app} takes deployments.` : `${app} is still held: ${view.held}`;
      context.show(view, () => [...view.done.map((line) => `- ${safe(line)}`), safe(end)].join("\n"));
      if (view.held !== undefined) setExit(1);
    });
}
