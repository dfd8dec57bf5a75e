import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { calls } from "../../../shared/protocol.ts";
import type { CommandEnvironment } from "../../contracts/service.ts";
import { contextOf, lineCount, newCommand, type SetExit, usageError } from "../context.ts";
import { renderLogs } from "../terminal/events.ts";
import type { Terminal } from "../terminal/terminal.ts";

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

function execCommand(terminal: Terminal, setExit: SetExit): Command {
  return newCommand(
    "exec",
    "run a command with the live release's directory, environment and user",
    "cutover exec shop -- python manage.py shell",
  )
    .passThroughOptions()
    .argument("<app>", "the app")
    .argument("<command...>", "the command with its arguments, after --")
    .action(async (app: string, words: string[], _options, command: Command) => {
      // commander keeps the -- between our arguments and those of the command.
      const argv = words[0] === "--" ? words.slice(1) : words;
      if (argv.length === 0) throw usageError("Give the command after --.");
      const context = contextOf(command, terminal);
      const client = await context.client();
      const environment = await client.call(calls.environment, { app });
      const exit = await runIn({ ...withoutUndefined(environment), env: environment.env }, argv, terminal);
      if (context.json) terminal.stderr.write(`${JSON.stringify({ release: environment.release, exit_code: exit })}\n`);
      setExit(exit);
    });
}

function withoutUndefined({
  release,
  directory,
  env,
  uid,
  gid,
}: {
  release: string;
  directory: string;
  env: Record<string, string>;
  uid?: number | undefined;
  gid?: number | undefined;
}): CommandEnvironment {
  return { release, directory, env, ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
}

/** Runs the command in this terminal. @returns its exit code; 128 plus the signal's number if a signal ended it */
async function runIn(environment: CommandEnvironment, argv: string[], terminal: Terminal): Promise<number> {
  const [file = "", ...args] = argv;
  const child = spawn(file, args, {
    cwd: environment.directory,
    env: { ...pick(terminal.env, ["TERM", "COLORTERM", "LANG", "LC_ALL"]), ...environment.env },
    stdio: "inherit",
    ...userOf(environment),
  });
  // The terminal sends Ctrl-C to the command too. The command decides what that means; we wait to return its exit code.
  const ignore = (): void => undefined;
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on("SIGINT", ignore).on("SIGTERM", forward).on("SIGHUP", forward);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on("error", (cause: NodeJS.ErrnoException) => reject(cannotRun(file, environment, cause)));
  child.on("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
  try {
    return await promise;
  } finally {
    process.off("SIGINT", ignore).off("SIGTERM", forward).off("SIGHUP", forward);
  }
}

function userOf({ uid, gid }: CommandEnvironment): { uid?: number; gid?: number } {
  const own = process.getuid?.();
  if (uid === undefined || own === uid) return {};
  if (own === 0) return { uid, ...(gid !== undefined && { gid }) };
  throw new CutoverError("forbidden", "The app runs as another user than you, so you may not run commands as it.", {
    unchanged: "The command was not started.",
    fix: "Run it with sudo.",
  });
}

function cannotRun(file: string, { release }: CommandEnvironment, cause: NodeJS.ErrnoException): CutoverError {
  const why =
    cause.code === "ENOENT" ? "command not found" : cause.code === "EACCES" ? "permission denied" : cause.code;
  return new CutoverError("request_invalid", `${file} cannot be run in ${release}: ${why}.`, {
    unchanged: "Nothing was started.",
    fix: "Use a command of the release's environment or of the system, such as python, django-admin or ls, or a whole path.",
    cause,
  });
}

function pick(env: NodeJS.ProcessEnv, names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
