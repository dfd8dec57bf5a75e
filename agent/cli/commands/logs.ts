import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { releaseOfRun, runId } from "../../../shared/names.ts";
import { calls } from "../../../shared/protocol.ts";
import type { AgentClient } from "../client.ts";
import { contextOf, lineCount, newCommand, usageError } from "../context.ts";
import { renderLogs } from "../terminal/events.ts";
import { print, safe, type Terminal } from "../terminal/terminal.ts";

interface LogOptions {
  lines: number;
  run?: string;
  follow?: true;
}

interface Tail {
  source: string;
  text: string;
}

const followEveryMs = 1000;
/** Of what an instance wrote within one look: an answer has no more. */
const mostLines = 1000;

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
      const look = async (lines: number) => (await client.call(calls.logs, { app }, { query: { lines, run } })).logs;
      const logs = await look(options.lines);
      context.show(logs, () => renderLogs(logs, context.style));
      if (options.follow !== true) return;
      for (let before = await look(mostLines); ; ) {
        await sleep(followEveryMs);
        const now = await look(mostLines);
        for (const { source, line } of newLines(before, now)) {
          if (context.json) print(terminal, JSON.stringify({ source, line }));
          else print(terminal, `${context.style("bold", safe(source))} | ${safe(line)}`);
        }
        before = now;
      }
    });
}

/** The newest run of a release; the release's own id if it has none that is up. */
async function runOf(client: AgentClient, app: string, release: string): Promise<string> {
  if (!runId.safeParse(release).success) throw usageError("a release, as `cutover releases` lists it.");
  if (release !== releaseOfRun(release)) return release;
  const { instances } = await client.call(calls.app, { app });
  const runs = instances.map(({ run }) => run).filter((run) => releaseOfRun(run) === release);
  return runs.toSorted((a, b) => numberOf(a) - numberOf(b)).at(-1) ?? release;
}

function numberOf(run: string): number {
  return Number(run.split(".")[1] ?? 0);
}

/** What each instance wrote between two looks at the end of its log. */
export function newLines(before: Tail[], now: Tail[]): { source: string; line: string }[] {
  return now.flatMap(({ source, text }) => {
    const old = linesOf(before.find((tail) => tail.source === source)?.text ?? "");
    const all = linesOf(text);
    return all.slice(overlap(old, all)).map((line) => ({ source, line }));
  });
}

/** How many lines of the beginning are the end of what was there before. */
function overlap(old: string[], all: string[]): number {
  for (let shift = Math.max(0, old.length - all.length); shift < old.length; shift++) {
    const kept = old.length - shift;
    let same = 0;
    while (same < kept && old[shift + same] === all[same]) same++;
    if (same === kept) return kept;
  }
  return 0;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
