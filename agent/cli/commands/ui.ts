import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { type Command, Option } from "commander";
import type { RunningPage } from "../../ui/server.ts";
import { userOf } from "../client.ts";
import { contextOf, newCommand, usageError } from "../context.ts";
import type { GlobalOptions } from "../host-files/places.ts";
import { print, printJson, type Terminal } from "../terminal/terminal.ts";
import { findingsOf } from "./doctor.ts";

const defaultPort = 7080;

/** `ui`: the page, in this command's own process, until it is ended. */
export function uiCommand(terminal: Terminal, version: string): Command {
  return newCommand("ui", "show a page on this host's loopback: apps, slots, visitors, releases, history", "cutover ui")
    .addOption(new Option("--port <n>", "the port of 127.0.0.1; 0: any").default(defaultPort).argParser(portOf))
    .action(async ({ port }: { port: number }, command: Command) => {
      const context = contextOf(command, terminal);
      const { socket } = command.optsWithGlobals<GlobalOptions>();
      // Only here: the other commands begin without hono.
      const { startPage } = await import("../../ui/server.ts");
      const agent = await context.client();
      const doctor = () => findingsOf(context, { version, ...(socket !== undefined && { socket }) });
      const user = userOf(terminal.env) ?? "local operator";
      const page = await startPage({ agent, doctor, now: terminal.now, host: hostname(), user }, port);
      if (context.json) printJson(terminal, { address: page.newAddress() });
      else print(terminal, welcome(page));
      await new Promise<void>((resolve) => {
        if (terminal.stdin.isTTY !== true) return;
        const lines = createInterface({ input: terminal.stdin });
        lines.on("line", () => print(terminal, `${page.newAddress()}\n`));
        lines.on("close", resolve);
      });
      await page.close();
    });
}

function welcome({ port, newAddress }: RunningPage): string {
  return `The page is open on this host alone. On your own computer run

  ssh -L ${port}:127.0.0.1:${port} ${hostname()}

and open this address, which works once, within ten minutes:

  ${newAddress()}

Enter prints another address. Ctrl-C closes the page.
`;
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw usageError("0 to 65535.");
  return Number(text);
}
