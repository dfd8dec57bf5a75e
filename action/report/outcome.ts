import prettyMilliseconds from "pretty-ms";
import type { HostReport, JobReport } from "./job-report.ts";

/**
 * How the job ended, in one sentence: the last line of the log, and the first of the summary. undefined for a failure, which
 * has a text of its own.
 * @param now in milliseconds since the epoch
 */
export function outcomeSentence(report: JobReport, now: number): string | undefined {
  const { failure, app = "The app", release, hosts, url, started, dryRun } = report;
  if (failure !== undefined) return undefined;
  const took = prettyMilliseconds(Math.max(0, now - started));
  if (dryRun === true) return `Dry run: ${app} was checked and packed in ${took}. Nothing was sent.`;
  const [first] = hosts;
  if (first === undefined || !hosts.every(({ outcome }) => outcome === first.outcome)) return undefined;
  const where = hosts.length === 1 ? first.host : `${hosts.length} hosts`;
  const what = [first.release ?? release, cutText(hosts), took].filter((part) => part !== undefined).join(", ");
  if (first.outcome === "staged") return `${app} is staged on ${where}, without traffic: ${what}.`;
  if (first.outcome !== "succeeded") return undefined;
  return `${app} is live on ${where}${url === undefined || url === "" ? "" : ` at ${url}`}: ${what}.`;
}

function cutText(hosts: HostReport[]): string | undefined {
  const known = hosts.flatMap(({ cut }) => cut ?? []);
  const cut = known.reduce((sum, each) => sum + each, 0);
  return `${cut} ${cut === 1 ? "request" : "requests"} cut`;
}
