import { posix } from "node:path";
import type { CutoverError } from "../../shared/errors.ts";
import type { Log } from "../runner/log.ts";
import { withoutRepeats } from "./evidence.ts";
import { type HostReport, type JobReport, manyHosts, resultByHost } from "./job-report.ts";
import { outcomeSentence, outcomeText } from "./outcome.ts";
import { renderSummary } from "./summary.ts";

/** Where the result of the job goes, apart from the log. */
export interface Publication {
  setOutput(name: string, value: string): void;
  writeSummary(text: string): Promise<void>;
}

/** GitHub shows ten annotations of a kind for a step and drops the rest. */
const annotationsShown = 10;

/** Writes the outputs, the last lines of the log and the summary, whether the job succeeded or failed. */
export async function publish(report: JobReport, log: Log, to: Publication): Promise<void> {
  setOutputs(report, to);
  closing(report.hosts, log);
  if (report.failure !== undefined && !failedHosts(report).some((host) => host.failure === report.failure)) {
    explainFailure("the reason", report.failure, log);
  }
  log.endGroup();
  const sentence = outcomeSentence(report, Date.now());
  if (sentence !== undefined) log.line(sentence);
  log.endGroup();
  await to.writeSummary(renderSummary(report)).catch((thrown: unknown) => {
    log.line(`The job summary could not be written: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    log.endGroup();
  });
}

export function setOutputs({ release, digest, bundle, url, hosts }: JobReport, to: Publication): void {
  const outputs = { release, digest, bundle, url };
  for (const [name, value] of Object.entries(outputs)) to.setOutput(name, value ?? "");
  to.setOutput("result", JSON.stringify(resultByHost(hosts)));
}

/** One annotation for each failed host, or one for the job, with cause and fix. The evidence is in the log. */
export function annotateFailures(report: JobReport, log: Log): void {
  const hosts = failedHosts(report);
  const place = ({ frame }: CutoverError) =>
    frame && { file: posix.join(report.directory ?? ".", frame.file), line: frame.line };
  for (const { host, failure } of hosts.slice(0, annotationsShown)) {
    if (failure !== undefined) log.annotate(`${host}: ${failure.code}`, sentences(failure), place(failure));
  }
  const { failure } = report;
  if (failure !== undefined && hosts.length === 0) log.annotate("", sentences(failure), place(failure));
}

/** Hosts that have an annotation of their own, so that the job needs no other. */
export function failedHosts({ hosts }: JobReport): HostReport[] {
  return hosts.filter(({ failure }) => failure !== undefined);
}

/** Of many hosts those that are as they should be have one line together. */
function closing(hosts: HostReport[], log: Log): void {
  const usual = (host: HostReport) => host.failure === undefined && host.note === undefined && !(Number(host.cut) > 0);
  const together = hosts.length > manyHosts ? hosts.filter(usual) : [];
  for (const host of hosts) if (!together.includes(host)) closingLines(host, hosts, log);
  for (const [outcome, some] of Map.groupBy(together, (host) => outcomeText(host, hosts))) {
    const [first] = some;
    const names = some.length <= manyHosts ? some.map(({ host }) => host).join(", ") : `${some.length} hosts`;
    log.line([`${names}: ${outcome}`, first?.release].filter((fact) => fact !== undefined).join(", "));
  }
}

function closingLines(report: HostReport, hosts: HostReport[], log: Log): void {
  const { host, release, failure, cut, visitors, note } = report;
  if (failure !== undefined) explainFailure(host, failure, log);
  const facts = [`${host}: ${outcomeText(report, hosts)}`, release, note];
  if (cut !== undefined && cut > 0) facts.push(`${cut} open requests were cut`);
  log.line(facts.filter((fact) => fact !== undefined).join(", "));
  if (visitors !== undefined) log.line(`${host}: ${visitors}`);
}

/** What a person looks for is open: the reason, and the first that a program printed. */
function explainFailure(where: string, failure: CutoverError, log: Log): void {
  log.endGroup();
  log.line(`${where}: ${failure.code}`);
  log.untrusted(sentences(failure));
  const [first, ...others] = withoutRepeats(failure.evidence);
  if (first !== undefined) {
    log.untrusted(`--- ${first.source}`);
    log.untrusted(first.text);
  }
  for (const { source, text } of others) {
    log.startGroup(`${where}: ${source}`);
    log.untrusted(text);
  }
  log.endGroup();
}

/** What happened, what did not change, what to do. */
export function sentences({ message, unchanged, fix }: CutoverError): string {
  return [message, unchanged, fix].filter((line) => line !== undefined).join("\n");
}
