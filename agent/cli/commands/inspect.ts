import type { Command } from "commander";
import { calls } from "../../../shared/protocol.ts";
import { contextOf, lineCount, newCommand, type SetExit } from "../context.ts";
import { renderLogs } from "../terminal/events.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { execCommand } from "./exec.ts";

/** `logs` and `exec`: look into the live release. */
export function inspectCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [logsCommand(terminal), execCommand(terminal, setExit)];
}

function logsCommand(terminal: Terminal): Command {
  return newCommand("logs", "show the last lines that an app's instances wrote", "cutover logs shop -n 50")
    .argument("<app>", "the app")
    .option("-n, --lines <lines>", "how many lines of each instance", lineCount, 100)
    .option("--run <run>", "another run than the live one, such as one that failed")
    .action(async (app: string, options: { lines: number; run?: string }, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const { logs } = await client.call(calls.logs, { app }, { query: { lines: options.lines, run: options.run } });
      context.show(logs, () => renderLogs(logs, context.style));
    });
}
