import type { Command } from "commander";
import type { SetExit } from "../context.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { execCommand } from "./exec.ts";
import { logsCommand } from "./logs.ts";

/** `logs` and `exec`: look into the live release. */
export function inspectCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [logsCommand(terminal), execCommand(terminal, setExit)];
}
