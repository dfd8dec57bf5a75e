import { Command, InvalidArgumentError } from "commander";
import { maxLines } from "../../shared/protocol.ts";
import { AgentClient, userOf } from "./client.ts";
import { type GlobalOptions, Places } from "./host-files/places.ts";
import type { ViewOptions } from "./terminal/events.ts";
import { print, printJson, type Style, styleFor, type Terminal } from "./terminal/terminal.ts";

/** What a command works with: the terminal, the files of the host, the agent. */
export interface Context {
  terminal: Terminal;
  places: Places;
  json: boolean;
  style: Style;
  client(): Promise<AgentClient>;
  view(): ViewOptions;
  /** Prints the value as JSON with --json, else the text for a person. */
  show(value: unknown, text: () => string): void;
}

export function contextOf(command: Command, terminal: Terminal): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const places = new Places(options, terminal.env);
  const json = options.json === true;
  const style = styleFor(terminal.stdout, terminal.env);
  return {
    terminal,
    places,
    json,
    style,
    client: async () => new AgentClient(await places.socket(), { user: userOf(terminal.env) }),
    view: () => ({ style, now: terminal.now(), width: widthOf(terminal) }),
    show(value, text) {
      if (json) printJson(terminal, value);
      else print(terminal, text());
    },
  };
}

/** A terminal that does not say how wide it is has 80 columns. */
function widthOf({ stdout }: Terminal): number | undefined {
  return stdout.isTTY === true ? (stdout.columns ?? 80) : undefined;
}

/** Called by a command that ends with another exit code than 0. */
export type SetExit = (code: number) => void;

/** A command with the options of every command, and an example in its help. */
export function newCommand(name: string, description: string, example: string): Command {
  return withGlobalOptions(new Command(name).description(description)).addHelpText(
    "after",
    `\nExample:\n  $ ${example}`,
  );
}

export function withGlobalOptions(command: Command): Command {
  return command
    .option("--json", "print JSON, for scripts")
    .option("--socket <path>", "the agent's admin socket (default: the one in agent.yml)")
    .option("--config <path>", "the directory of agent.yml and apps/, or agent.yml (default: /etc/cutover)")
    .option("--embedded <dir>", "an agent started with --embedded <dir> (default: $CUTOVER_EMBEDDED)");
}

/** A wrong argument: the person gets the message, and the command ends with exit code 2. */
export function usageError(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}

/** Of a word in the place of a release. */
export function noRelease(text: string, app: string): string {
  return `${JSON.stringify(text)} is no release: \`cutover releases ${app}\` lists them, such as 20261121T103000Z-3f2c1ab.`;
}

/** The value of --lines. */
export function lineCount(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > maxLines)
    throw usageError(`1 to ${maxLines} lines.`);
  return Number(text);
}
