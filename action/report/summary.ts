import prettyMilliseconds from "pretty-ms";
import type { Evidence } from "../../shared/errors.ts";
import { cleanLine, cleanLines } from "../runner/log.ts";
import { withoutRepeats } from "./evidence.ts";
import type { HostReport, JobReport, Phase } from "./job-report.ts";
import { outcomeSentence, outcomeText } from "./outcome.ts";

/** GitHub refuses a summary of more than 1 MiB, and other steps of the job share it with us. */
const budget = 512 * 1024;
const longestEvidence = 16 * 1024;
const shownHosts = 200;

/**
 * The job summary, as Markdown with HTML in it. All text from elsewhere is escaped, and no HTML contains an
 * empty line, after which Markdown would begin again.
 */
export function renderSummary(report: JobReport, now = Date.now()): string {
  const sentence = outcomeSentence(report, now);
  const said = sentence === undefined ? [] : [`<p>${escapeHtml(sentence)}</p>`];
  const parts = [heading(report), ...said, link(report), ...failureOf(report), hostTable(report.hosts), gantt(report)];
  let text = `${parts.filter((part) => part !== "").join("\n\n")}\n`;
  let first = true;
  for (const host of report.hosts) {
    for (const detail of evidenceOf(host)) {
      const shown = first ? detail.replace("<details>", "<details open>") : detail;
      if (Buffer.byteLength(text) + Buffer.byteLength(shown) > budget) return text;
      text += `\n${shown}\n`;
      first = false;
    }
  }
  return text;
}

function heading({ command, app, release }: JobReport): string {
  const what = [command, app, release].filter((part) => part !== undefined).map((part) => escapeHtml(part));
  return `<h2>cutover: ${what.join(" ")}</h2>`;
}

function link({ url }: JobReport): string {
  return url === undefined || url === "" ? "" : `<a href="${escapeHtml(url)}">${escapeHtml(url)}</a>`;
}

function failureOf({ failure, hosts }: JobReport): string[] {
  if (failure === undefined || hosts.some((host) => host.failure === failure)) return [];
  const evidence = shortened(failure.evidence).map(({ source, text }) => pre(`${source}\n${text}`));
  const lines = [failure.message, failure.unchanged, failure.fix].filter((line) => line !== undefined);
  return [`<p><b>${failure.code}</b><br>${lines.map(escapeHtml).join("<br>")}</p>${evidence.join("")}`];
}

function hostTable(hosts: HostReport[]): string {
  if (hosts.length === 0) return "";
  const head = row("th", ["Host", "Release", "Outcome", "Time"]);
  const rows = hosts
    .slice(0, shownHosts)
    .map((host) =>
      row("td", [
        escapeHtml(host.host),
        host.release === undefined ? "" : `<code>${escapeHtml(host.release)}</code>`,
        outcomeCell(host, hosts),
        timeOf(host.phases),
      ]),
    );
  const more = hosts.length > shownHosts ? [row("td", [`and ${hosts.length - shownHosts} more`, "", "", ""])] : [];
  return `<table>${[head, ...rows, ...more].join("")}</table>`;
}

function outcomeCell(host: HostReport, hosts: HostReport[]): string {
  const { failure, cut, visitors, note } = host;
  const lines = [`<b>${escapeHtml(outcomeText(host, hosts))}</b>`];
  if (failure !== undefined) lines.push(`${failure.code}: ${escapeHtml(short(failure.message))}`);
  if (failure?.fix !== undefined) lines.push(escapeHtml(short(failure.fix)));
  if (cut !== undefined && cut > 0) lines.push(`${cut} open requests were cut`);
  if (visitors !== undefined) lines.push(escapeHtml(visitors));
  if (note !== undefined) lines.push(escapeHtml(short(note)));
  return lines.join("<br>");
}

/** From the first to the last of the host's phases. The chart has each of them. */
function timeOf(phases: Phase[]): string {
  if (phases.length === 0) return "";
  const start = Math.min(...phases.map((phase) => phase.start));
  const end = Math.max(...phases.map((phase) => phase.start + phase.took));
  return prettyMilliseconds(Math.max(0, end - start));
}

function row(cell: "th" | "td", cells: string[]): string {
  return `<tr>${cells.map((text) => `<${cell}>${text}</${cell}>`).join("")}</tr>`;
}

/** Times from the start of the job, so that the axis needs no time zone. */
function gantt({ started, phases, hosts }: JobReport): string {
  const sections = [
    { name: "this job", phases },
    ...hosts.slice(0, 20).map(({ host, phases }) => ({ name: host, phases })),
  ];
  const lines = sections
    .filter((section) => section.phases.length > 0)
    .flatMap((section) => [
      `  section ${escapeMermaid(section.name)}`,
      ...section.phases.slice(0, 40).map((phase) => ganttTask(phase, started)),
    ]);
  if (lines.length === 0) return "";
  const head = ["gantt", "  dateFormat x", "  axisFormat %M:%S"];
  return ["```mermaid", ...head, ...lines, "```"].join("\n");
}

function ganttTask({ name, start, took }: Phase, started: number): string {
  const from = Math.max(0, Math.round(start - started));
  const to = from + Math.max(1, Math.round(took));
  return `  ${escapeMermaid(name)} (${prettyMilliseconds(took)}) :${from}, ${to}`;
}

function evidenceOf({ host, failure }: HostReport): string[] {
  return shortened(failure?.evidence ?? []).map(
    ({ source, text }) =>
      `<details><summary>${escapeHtml(host)}: ${escapeHtml(source)}</summary>${pre(text)}</details>`,
  );
}

function shortened(evidence: readonly Evidence[]): Evidence[] {
  return withoutRepeats(
    evidence.map(({ source, text }) => ({
      source,
      text: text.length > longestEvidence ? `[...]\n${text.slice(-longestEvidence)}` : text,
    })),
  );
}

function pre(text: string): string {
  // Entities instead of newlines: an empty line would end the HTML and let Markdown begin.
  return `<pre>${cleanLines(text).map(escapeHtml).join("&#10;")}</pre>`;
}

function short(text: string): string {
  const line = cleanLines(text).join(" ");
  return line.length > 500 ? `${line.slice(0, 500)} [...]` : line;
}

/** Also escapes what Markdown and GitHub would interpret: links, mentions, emphasis. */
export function escapeHtml(text: string): string {
  return cleanLine(text.replace(/[\r\n]+/g, " ")).replace(
    /[&<>"'`*_~[\]\\|@#:]/g,
    (sign) => `&#${sign.charCodeAt(0)};`,
  );
}

/** Mermaid gives meaning to colons, commas, semicolons, # and %%; only plain words pass, and a % by itself. */
export function escapeMermaid(text: string): string {
  return (
    text
      .replace(/[^A-Za-z0-9 ._()%-]+/g, " ")
      .replace(/%+/g, "%")
      .replace(/\s+/g, " ")
      .trim()
      .slice(0, 100) || "-"
  );
}
