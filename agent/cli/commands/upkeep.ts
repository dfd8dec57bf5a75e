import type { Command } from "commander";
import { calls, type VerifyView } from "../../../shared/protocol.ts";
import { contextOf, newCommand, type SetExit } from "../context.ts";
import { safe, type Terminal } from "../terminal/terminal.ts";
import { renderVerified } from "../terminal/verified.ts";

/** `pin`, `unpin`, `repair` and `verify`: for operators, apart from deployments. */
export function upkeepCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [
    pinCommand(terminal, "pin", "keep a release on this host, however many follow it"),
    pinCommand(terminal, "unpin", "let a release be removed again when newer ones replace it"),
    repairCommand(terminal, setExit),
    verifyCommand(terminal, setExit),
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

function verifyCommand(terminal: Terminal, setExit: SetExit): Command {
  const text = "hash all files of the releases again, and say what is not as it was unpacked";
  return newCommand("verify", text, "cutover verify shop")
    .argument("[app]", "the app; all apps unless given")
    .action(async (app: string | undefined, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const apps = app === undefined ? (await client.call(calls.apps, {})).apps : [app];
      const views: VerifyView[] = [];
      for (const name of apps) views.push(await client.call(calls.verify, { app: name }));
      context.show({ verified: views }, () => views.map((view) => renderVerified(view, context.style)).join("\n"));
      if (views.some(({ faults }) => faults.length > 0)) setExit(1);
    });
}
