import prettyMs from "pretty-ms";
import type { ReportedState } from "../../../shared/deployment-states.ts";
import type { DeploymentEvent, DeploymentView } from "../../../shared/protocol.ts";
import { type Style, safe } from "./terminal.ts";

/** How the commands render what they show to a person. The functions of this folder that render are pure. */
export interface ViewOptions {
  style: Style;
  /** Milliseconds since the epoch. */
  now: number;
  /** Of the terminal, in characters; absent if the text goes elsewhere. */
  width?: number | undefined;
}

export const stateWords: Record<ReportedState, string> = {
  received: "received",
  verified: "bundle verified",
  unpacked: "unpacked",
  built: "environment built",
  released: "release command done",
  started: "instances started",
  healthy: "all instances healthy",
  cut_over: "traffic moved",
  drained: "old instances drained",
  retired: "old release retired",
  done: "done",
};

/** One line for each event, as it happens; at the end the failure and its evidence. */
export function renderEvent(event: DeploymentEvent, { style }: Pick<ViewOptions, "style">): string {
  switch (event.type) {
    case "state": {
      const took = style("dim", prettyMs(Math.round(event.took)).padStart(8));
      const note = event.note === undefined ? "" : style("dim", ` (${safe(event.note)})`);
      return `${took}  ${stateWords[event.state]}${note}\n`;
    }
    case "output":
      return style("dim", `          ${oneLine(event.source)} | ${oneLine(event.line)}`).concat("\n");
    case "notice":
      return `          ${oneLine(event.message)}\n`;
    case "end":
      return renderEnd(event.deployment, style);
  }
}

function renderEnd(view: DeploymentView, style: Style): string {
  const release = view.release ?? "the release";
  const whole =
    view.finished === undefined ? "" : ` in ${shortTime(Date.parse(view.finished) - Date.parse(view.started))}`;
  const cut = view.cut === undefined || view.cut === 0 ? "" : `, ${view.cut} requests were cut at the drain limit`;
  switch (view.outcome) {
    case "succeeded": {
      const weight = view.weight ?? 100;
      const part = weight === 100 ? "is live" : `has ${weight} % of the traffic`;
      return `${style("green", `${view.kind}: ${release} ${part}`)}${whole}${cut}\n`;
    }
    case "staged":
      return `${style("cyan", `${view.kind}: ${release} is staged, without traffic`)}${whole}\n`;
    case "running":
      return `${view.kind}: ${release} is still running\n`;
    case "failed":
    case "aborted": {
      const { failure } = view;
      const head = style("red", `${view.kind}: ${release} ${view.outcome}${whole}`);
      return failure === undefined
        ? `${head}\n`
        : `${head}\n${renderFailure({ ...failure, message: failure.detail }, style)}`;
    }
  }
}

interface FailureText {
  code: string;
  message: string;
  unchanged?: string | undefined;
  fix?: string | undefined;
  evidence?: { source: string; text: string }[] | undefined;
}

/** What happened, what did not change, what to do, and the evidence. */
export function renderFailure(error: FailureText, style: Style): string {
  const lines = [`${style("red", "error")} ${style("dim", `[${safe(error.code)}]`)} ${safe(error.message)}`];
  if (error.unchanged !== undefined) lines.push(safe(error.unchanged));
  if (error.fix !== undefined) lines.push(`${style("bold", "fix:")} ${safe(error.fix)}`);
  for (const { source, text } of error.evidence ?? []) {
    lines.push("", style("dim", `--- ${oneLine(source)}`), safe(text).trimEnd());
  }
  return `${lines.join("\n")}\n`;
}

export function renderLogs(logs: { source: string; text: string }[], style: Style): string {
  if (logs.length === 0) return "The instances have not written anything yet.\n";
  return logs
    .map(({ source, text }) => `${style("bold", `==> ${oneLine(source)} <==`)}\n${safe(text).trimEnd()}\n`)
    .join("\n");
}

function oneLine(text: string): string {
  return safe(text).replace(/\n/g, " ");
}

export function shortTime(ms: number): string {
  const rounded = ms < 1000 ? Math.round(Math.max(0, ms)) : Math.round(ms / 100) * 100;
  return prettyMs(rounded, { unitCount: 2, secondsDecimalDigits: rounded < 60_000 ? 1 : 0 });
}
