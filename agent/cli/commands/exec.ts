import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { calls } from "../../../shared/protocol.ts";
import { type LiveCommand, liveCommand, withLaunchFile } from "../../host/exec/live-command.ts";
import { ownSession, type Session } from "../../host/exec/own-session.ts";
import { runTool, toolPath } from "../../host/exec/run-tool.ts";
import { contextOf, newCommand, type SetExit, usageError } from "../context.ts";
import { printJsonError, type Terminal } from "../terminal/terminal.ts";

/** `exec`: a command in the live release, as the app's user. The agent says which release is live, and nothing else. */
export function execCommand(terminal: Terminal, setExit: SetExit): Command {
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
      const { places, client, json } = contextOf(command, terminal);
      const { live } = await (await client()).call(calls.app, { app });
      if (live === null) throw nothingLive(app);
      const how = await liveCommand({ config: places.config, embedded: places.isEmbedded, app, run: live });
      const exit = await runLive(app, { ...how, env: { ...shownTo(terminal), ...how.env } }, argv, terminal);
      if (json) printJsonError(terminal, { release: how.release, exit_code: exit });
      setExit(exit);
    });
}

function nothingLive(app: string): CutoverError {
  return new CutoverError("nothing_live", `${app} has no live release.`, {
    unchanged: "The command was not started.",
    fix: "Deploy it first.",
  });
}

/** @returns its exit code; 128 plus the signal's number if a signal ended it */
function runLive(app: string, how: LiveCommand, argv: string[], terminal: Terminal): Promise<number> {
  if (how.user.other === undefined) return runHere(how, argv);
  return withLaunchFile(how, argv, async (launched) => {
    const own = terminal.stdin.isTTY === true && terminal.stdout.isTTY === true;
    const session = await ownSession({ ...launched, app, terminal: own }, { PATH: toolPath, ...shownTo(terminal) });
    return runApart(session, own, terminal);
  });
}

/** As the same user, in this terminal: there is nobody whom it could deceive. */
async function runHere(how: LiveCommand, argv: string[]): Promise<number> {
  const [file = "", ...args] = argv;
  const child = spawn(file, args, { cwd: how.directory, env: how.env, stdio: "inherit" });
  // The terminal sends Ctrl-C to the command too. The command decides what that means.
  const pass = (name: NodeJS.Signals) => name !== "SIGINT" && child.kill(name);
  return endOf(child, pass).catch((cause: NodeJS.ErrnoException) => {
    throw cannotRun(file, how, cause);
  });
}

/** As another user, who gets no descriptor of this terminal: it could read what is typed, and change how it is shown. */
function runApart({ argv, env, signal }: Session, own: boolean, { stdin, stdout, stderr }: Terminal): Promise<number> {
  const [program = "", ...args] = argv;
  const relayed = (stream: { isTTY?: boolean }) => (stream.isTTY === true ? "pipe" : "inherit");
  const stdio: StdioOptions = own ? "inherit" : [relayed(stdin), relayed(stdout), relayed(stderr)];
  // The one that has our terminal must stay in its foreground; it gives the command another one.
  const child = spawn(program, args, { cwd: "/", env, stdio, detached: !own });
  if (child.stdin !== null) stdin.pipe(child.stdin.on("error", () => undefined));
  child.stdout?.pipe(stdout, { end: false });
  child.stderr?.pipe(stderr, { end: false });
  const pass = (name: NodeJS.Signals) => {
    if (signal !== undefined) return runTool("systemctl", signal(name).slice(1));
    return child.pid === undefined || own ? child.kill(name) : process.kill(-child.pid, name);
  };
  return endOf(child, pass).finally(() => child.stdin !== null && stdin.unpipe().pause());
}

/** Waits for the end, and passes on the signals that would end this process. @returns the exit code, as a shell gives it */
async function endOf(child: ChildProcess, pass: (name: NodeJS.Signals) => unknown): Promise<number> {
  const names: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of names) process.on(name, pass);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
    });
  } finally {
    for (const name of names) process.off(name, pass);
  }
}

function cannotRun(file: string, { release }: LiveCommand, cause: NodeJS.ErrnoException): CutoverError {
  const why =
    cause.code === "ENOENT" ? "command not found" : cause.code === "EACCES" ? "permission denied" : cause.code;
  return new CutoverError("request_invalid", `${file} cannot be run in ${release}: ${why}.`, {
    unchanged: "Nothing was started.",
    fix: "Use a command of the release's environment or of the system, such as python, django-admin or ls, or a whole path.",
    cause,
  });
}

/** What a program must know of the terminal and of the person at it. */
function shownTo({ env }: Terminal): Record<string, string> {
  return Object.fromEntries(
    ["TERM", "COLORTERM", "LANG", "LC_ALL"].flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
