import prettyMilliseconds from "pretty-ms";
import type { HostOutcome, HostReport, JobReport } from "./job-report.ts";

/** For people, everywhere. */
export const outcomeNames: Record<HostOutcome, string> = {
  not_started: "not started",
  unknown: "unknown",
  staged: "staged",
  succeeded: "live",
  failed: "failed",
  aborted: "aborted",
  rolled_back: "rolled back",
};

/** The outcome on one of the hosts, with the host whose failure caused it: "aborted, since web2:7070 failed". */
export function outcomeText({ outcome, failure }: HostReport, hosts: HostReport[]): string {
  const name = outcomeNames[outcome];
  const isUndone = outcome === "aborted" || outcome === "rolled_back" || outcome === "not_started";
  if (!isUndone || failure !== undefined) return name;
  const [first, ...others] = hosts.filter((host) => host.outcome === "failed" && host.failure !== undefined);
  if (first === undefined) return name;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `${name}, since ${first.host}${more} failed`;
}

/** Of a job on many hosts, so many are named. */
const namedHosts = 10;

/**
 * How the job ended, in one sentence, or in one for each host: the last lines of the log, and the first of the summary.
 * @param now in milliseconds since the epoch
 */
export function outcomeSentence(report: JobReport, now: number): string | undefined {
  const { app = "The app", hosts, failure, started, dryRun, command } = report;
  const took = prettyMilliseconds(Math.max(0, now - started));
  if (failure === undefined && dryRun === true) {
    return `Dry run: ${app} was checked and packed in ${took}. Nothing was sent.`;
  }
  if (hosts.length === 0) return undefined;
  const same = hosts.every(({ outcome }) => outcome === hosts[0]?.outcome);
  if (failure === undefined && same) return success(report, app, took);
  const shown = hosts.slice(0, namedHosts).map((host) => `${host.host}: ${standing(host)}`);
  const more = hosts.length > namedHosts ? [`and ${hosts.length - namedHosts} more`] : [];
  const what = failure === undefined ? "ended differently on its hosts" : `did not succeed (${failure.code})`;
  return `${app}: ${command} ${what}, ${took}. ${[...shown, ...more].join("; ")}.`;
}

function success({ release, hosts, url }: JobReport, app: string, took: string): string | undefined {
  const [first] = hosts;
  if (first === undefined) return undefined;
  const where = hosts.length === 1 ? first.host : `${hosts.length} hosts`;
  const what = [`${first.release ?? release}${beforeText(hosts)}`, cutText(hosts), took].join(", ");
  if (first.outcome === "staged") return `${app} is staged on ${where}, without traffic: ${what}.`;
  if (first.outcome !== "succeeded") return undefined;
  return `${app} is live on ${where}${url === undefined || url === "" ? "" : ` at ${url}`}: ${what}.`;
}

/** What was live before; nothing if hosts differ, or if their agents do not say. */
function beforeText(hosts: HostReport[]): string {
  const [first] = hosts;
  if (first?.before === undefined || hosts.some(({ before }) => before !== first.before)) return "";
  return first.before === null ? " (the first release)" : ` (before: ${first.before})`;
}

function cutText(hosts: HostReport[]): string {
  const known = hosts.flatMap(({ cut }) => cut ?? []);
  const cut = known.reduce((sum, each) => sum + each, 0);
  return `${cut} ${cut === 1 ? "request" : "requests"} cut`;
}

/** What a visitor of this host gets now. */
function standing({ outcome, release, before, note }: HostReport): string {
  switch (outcome) {
    case "succeeded":
      return `${release} is live`;
    case "rolled_back":
      return `${release} is live again`;
    case "not_started":
      return "nothing was changed";
    case "unknown":
      return note === undefined ? "not known, see `cutover status` there" : bare(note);
    case "staged":
      return note === undefined ? `${release} is staged, without traffic` : bare(note);
    case "failed":
    case "aborted":
      return note === undefined ? stays(before) : bare(note);
  }
}

function stays(before: string | null | undefined): string {
  if (before === undefined) return "what was live stays live";
  return before === null ? "nothing is live yet" : `${before} stays live`;
}

function bare(note: string): string {
  return note.replace(/\.$/, "");
}
