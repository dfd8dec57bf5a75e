import type { Command } from "commander";
import prettyMs from "pretty-ms";
import { duration, milliseconds } from "../../../shared/duration.ts";
import { type AuditEntry, actorName, calls } from "../../../shared/protocol.ts";
import { contextOf, lineCount, newCommand, usageError } from "../context.ts";
import type { ViewOptions } from "../terminal/events.ts";
import { renderFitting } from "../terminal/table.ts";
import { safe, type Terminal } from "../terminal/terminal.ts";

interface HistoryOptions {
  since?: number | string;
  lines: number;
}

/** `history`: who did what, when, with which result, from the agent's audit log. */
export function historyCommand(terminal: Terminal): Command {
  return newCommand(
    "history",
    "show who deployed, activated, rolled back or was refused, with the result",
    "cutover history shop --since 7d",
  )
    .argument("[app]", "the app (default: all)")
    .option("--since <time>", "only since then: 30m, 24h, 7d, or 2026-11-21", sinceOf)
    .option("-n, --lines <count>", "how many lines of the audit log, from its end", lineCount, 200)
    .action(async (app: string | undefined, { since, lines }: HistoryOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const from = typeof since === "number" ? new Date(terminal.now() - since).toISOString() : since;
      const { entries } = await client.call(calls.history, {}, { query: { limit: lines, app, since: from } });
      context.show(entries, () =>
        entries.length === 0 ? "The audit log has no entries." : renderHistory(entries, context.view()),
      );
    });
}

/** One line for each deployment, call or refusal, newest last. */
export function renderHistory(entries: AuditEntry[], { style, width }: Pick<ViewOptions, "style" | "width">): string {
  // The begin of a deployment is shown only if its end is not known. A staged deployment that was aborted has ended twice.
  const ended = new Set(entries.filter(({ event }) => event === "ended").map(({ deployment }) => deployment));
  const shown = entries.filter(({ event, deployment }) => event !== "begun" || !ended.has(deployment));
  const rows = shown.map((entry) => {
    const { at, app, by, release } = entry;
    const what = `${entry.what.replaceAll("_", " ")}${entry.weight === undefined ? "" : ` ${entry.weight} %`}`;
    return [
      `${at.slice(0, 10)} ${at.slice(11, 19)}`,
      safe(app),
      safe(what),
      safe(release ?? ""),
      result(entry, style),
      safe(caller(entry)),
      safe(by?.trust ?? ""),
      safe(by?.run_url ?? ""),
    ].map((cell) => cell.replaceAll("\n", " "));
  });
  const head = ["time (UTC)", "app", "what", "release", "result", "who", "trusted as", "run"];
  return renderFitting(head, rows, width);
}

/** Of a genuine token: its signer is trusted, and one rule refused the call. */
const refusals: Record<string, string> = {
  grant_missing: "trusted, but `allow` of the trust entry lacks this call",
  spent: "trusted, but the token was used before",
  clock_behind: "trusted, but the host's clock is or was wrong",
};

function caller({ by, reason = "no token" }: AuditEntry): string {
  return by === undefined ? (refusals[reason] ?? `nobody known: ${reason}`) : actorName(by);
}

function result({ event, outcome, code, took }: AuditEntry, style: ViewOptions["style"]): string {
  const why = code === undefined ? "" : ` [${safe(code)}]`;
  if (event === "refused") return style("yellow", `refused${why}`);
  if (event === "done") return "done";
  if (event === "begun") return style("cyan", "begun");
  const word =
    outcome === "succeeded" || outcome === "staged" ? style("green", outcome) : style("red", `${outcome}${why}`);
  return took === undefined ? word : `${word} ${prettyMs(took, { secondsDecimalDigits: 1 })}`;
}

/** @returns milliseconds before now, or a time as ISO 8601 */
function sinceOf(text: string): number | string {
  if (duration.safeParse(text).success) return milliseconds(text);
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw usageError("a duration such as 24h or 7d, or a date such as 2026-11-21.");
  return new Date(time).toISOString();
}
