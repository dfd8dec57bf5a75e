import { Command, CommanderError } from "commander";
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import { toFailure } from "../../shared/protocol.ts";
import { appCommand } from "./commands/app.ts";
import { checkCommand } from "./commands/check.ts";
import { completionCommand } from "./commands/completion.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { drainCommand } from "./commands/drain.ts";
import { envCommand } from "./commands/env.ts";
import { historyCommand } from "./commands/history.ts";
import { initCommand } from "./commands/init.ts";
import { inspectCommands } from "./commands/inspect.ts";
import { keyCommands } from "./commands/keys.ts";
import { maintenanceCommand } from "./commands/maintenance.ts";
import { moveCommands } from "./commands/moves.ts";
import { setupCommand } from "./commands/setup.ts";
import { statusCommands } from "./commands/status.ts";
import { tlsCommand } from "./commands/tls.ts";
import { topCommand } from "./commands/top.ts";
import { uiCommand } from "./commands/ui.ts";
import { upkeepCommands } from "./commands/upkeep.ts";
import { type SetExit, withGlobalOptions } from "./context.ts";
import { renderFailure } from "./terminal/events.ts";
import { print, printError, printJsonError, styleFor, type Terminal } from "./terminal/terminal.ts";
import { usageFault } from "./usage-faults.ts";

/** 0: done; 1: failed; 2: the command line is wrong. `exec` ends with the exit code of its command. */
const exits = { done: 0, failed: 1, usage: 2 } as const;

/** Runs one command line of `cutover`. Never throws. @returns the exit code */
export async function runCli(argv: string[], terminal: Terminal, version: string): Promise<number> {
  let exit: number = exits.done;
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const json = own.includes("--json");
  const setExit = (code: number) => {
    exit = code;
  };
  const program = createProgram(terminal, version, setExit, json);
  try {
    await program.parseAsync(argv, { from: "user" });
    return exit;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // commander has printed its own errors already, but not those that a command throws.
      if (thrown.code === "commander.invalidArgument" && !thrown.message.startsWith("error: ")) {
        printUsageFault(terminal, `error: ${thrown.message}\n`, json);
      }
      return thrown.exitCode === 0 ? exits.done : exits.usage;
    }
    const error = asCutoverError(thrown);
    if (json) printJsonError(terminal, toFailure(error), 2);
    else printError(terminal, renderFailure(error, styleFor(terminal.stderr, terminal.env)));
    return exits.failed;
  }
}

/** A wrong command line, as commander words it. */
function printUsageFault(terminal: Terminal, text: string, json: boolean): void {
  const detail = text.replace(/^error: /, "").trim();
  if (json) printJsonError(terminal, toFailure(new CutoverError("request_invalid", detail)), 2);
  else printError(terminal, text);
}

/**
 * All commands.
 * @param setExit called by a command that ends with another exit code than 0
 * @param json whether a wrong command line is told in JSON
 */
export function createProgram(terminal: Terminal, version: string, setExit: SetExit, json = false): Command {
  const program = withGlobalOptions(new Command("cutover"))
    .description("Manages the apps that cutover deploys to this host, and prepares projects for it.")
    .version(version)
    .enablePositionalOptions()
    .addHelpText("after", "\nExample:\n  $ cutover status\n  $ cutover help redeploy");
  for (const [group, commands] of commandGroups(terminal, version, setExit, () => program)) {
    for (const command of commands) program.addCommand(command.helpGroup(group));
  }
  everyCommand(program, (command) => {
    command.exitOverride();
    command.configureHelp({ minWidthToWrap: 30 });
    command.configureOutput({
      writeOut: (text) => print(terminal, text),
      writeErr: (text) => printError(terminal, text),
      outputError: (text) => printUsageFault(terminal, json ? text : usageFault(text, command), json),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => 80,
      getErrHelpWidth: () => 80,
    });
  });
  return program;
}

/** As the help lists them. */
function commandGroups(
  terminal: Terminal,
  version: string,
  setExit: SetExit,
  program: () => Command,
): [heading: string, commands: Command[]][] {
  const [status, releases] = statusCommands(terminal);
  const [logs, exec] = inspectCommands(terminal, setExit);
  const given = (commands: (Command | undefined)[]) => commands.filter((command) => command !== undefined);
  return [
    [
      "See what runs:",
      given([status, releases, topCommand(terminal), uiCommand(terminal, version), logs, historyCommand(terminal)]),
    ],
    ["Move the traffic:", [...moveCommands(terminal, setExit), maintenanceCommand(terminal), drainCommand(terminal)]],
    ["Keep releases well:", upkeepCommands(terminal, setExit)],
    [
      "Apps and their secrets:",
      given([appCommand(terminal), envCommand(terminal), tlsCommand(terminal), exec, ...keyCommands(terminal)]),
    ],
    [
      "Set up a project or a host:",
      [
        initCommand(terminal, version, setExit),
        checkCommand(terminal, setExit),
        doctorCommand(terminal, setExit, version),
        setupCommand(terminal),
        completionCommand(terminal, program),
      ],
    ],
  ];
}

function everyCommand(command: Command, act: (command: Command) => void): void {
  act(command);
  for (const child of command.commands) everyCommand(child, act);
}
