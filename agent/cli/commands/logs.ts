import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun, runId } from "../../../shared/names.ts";
import { calls, type LogsView } from "../../../shared/protocol.ts";
import type { AgentClient } from "../client.ts";
import { type Context, contextOf, lineCount, newCommand, noRelease, usageError } from "../context.ts";
import { renderLogs } from "../terminal/events.ts";
import { print, printError, safe, type Terminal } from "../terminal/terminal.ts";

interface LogOptions {
  lines: number;
  run?: string;
  follow?: true;
}

const followEveryMs = 1000;
/** Characters of one instance's lines. With as many, more may wait. */
const fullAnswer = 8192;

/** `logs`: what the instances of a run wrote. */
export function logsCommand(terminal: Terminal): Command {
  return newCommand("logs", "show the last lines that an app's instances wrote", "cutover logs shop -n 50")
    .argument("<app>", "the app")
    .argument("[release]", "another release than the live one, such as one that failed")
    .option("-n, --lines <lines>", "how many lines of each instance", lineCount, 100)
    .option("--run <run>", "another run than the live one")
    .option("-f, --follow", "go on with what they write next, until Ctrl-C")
    .action(async (app: string, release: string | undefined, options: LogOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const run = options.run ?? (release === undefined ? undefined : await runOf(client, app, release));
      const look = (after?: string) =>
        client.call(
          calls.logs,
          { app },
          { query: { lines: options.lines, run, ...(after !== undefined && { after }) } },
        );
      const first = await look(options.follow === true ? "" : undefined).catch((thrown: unknown) => {
        throw isUnknown(thrown) ? notFollowed() : thrown;
      });
      context.show(first.logs, () => renderLogs(first.logs, context.style));
      if (options.follow === true) await follow(first, look, context);
    });
}

type Look = (after: string) => Promise<LogsView>;

/** Goes on until Ctrl-C, or until nobody reads the output: `main.ts` ends then. @throws what the agent refuses */
async function follow({ next }: LogsView, look: Look, context: Context): Promise<never> {
  if (next === undefined) throw notFollowed();
  const take = (now: LogsView) => {
    for (const { source, text } of now.logs) if (text !== "") printLines(source, text, context);
    next = now.next ?? next;
    return now.logs.some(({ text }) => text.length >= fullAnswer);
  };
  for (let away = false, full = false; ; ) {
    if (!full) await sleep(followEveryMs);
    try {
      full = take(await look(next));
      away = false;
    } catch (thrown) {
      if (!isAway(thrown)) throw thrown;
      if (!away) printError(context.terminal, "The agent does not answer. The lines go on when it is back.\n");
      [away, full] = [true, false];
    }
  }
}

function printLines(source: string, text: string, { json, style, terminal }: Context): void {
  for (const line of text.split("\n")) {
    if (json) print(terminal, JSON.stringify({ source, line }));
    else print(terminal, `${style("bold", safe(source))} | ${safe(line)}`);
  }
}

/** It restarts, or stops: the answer may break off too. */
function isAway(thrown: unknown): boolean {
  if (thrown instanceof CutoverError) return ["agent_unreachable", "agent_stopping"].includes(thrown.code);
  return (thrown as NodeJS.ErrnoException | undefined)?.code === "ECONNRESET";
}

/** An older agent refuses what it does not know. */
function isUnknown(thrown: unknown): boolean {
  return thrown instanceof CutoverError && thrown.code === "request_invalid" && thrown.message.includes("after");
}

function notFollowed(): CutoverError {
  return new CutoverError("agent_incompatible", "The agent that runs is older than `logs --follow` of this version.", {
    unchanged: "Nothing was changed.",
    fix: "Restart it: `systemctl restart cutover-agent`.",
  });
}

/** The newest run of a release; the release's own id if it has none that is up. */
async function runOf(client: AgentClient, app: string, release: string): Promise<string> {
  if (!runId.safeParse(release).success) throw usageError(noRelease(release, app));
  if (release !== releaseOfRun(release)) return release;
  const { instances } = await client.call(calls.app, { app });
  const runs = instances.map(({ run }) => run).filter((run) => releaseOfRun(run) === release);
  return runs.toSorted((a, b) => numberOf(a) - numberOf(b)).at(-1) ?? release;
}

function numberOf(run: string): number {
  return Number(run.split(".")[1] ?? 0);
}
