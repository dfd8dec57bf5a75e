import { ownText } from "../own-text.ts";
import type { Hint } from "./hint.ts";
import { hints } from "./hints.ts";
import { packageOf } from "./packages.ts";
import { type Frame, isOwnSocket, lastTraceback, type ProjectFile, type Raised } from "./traceback.ts";

/** Why a program failed, found in what it printed. All of it is untrusted text. */
export interface Cause {
  /** One line, such as `ModuleNotFoundError: No module named 'stripe' (app.py:1)`. At most 300 characters. */
  line: string;
  /** Where in the project, for an annotation. */
  frame?: Frame;
  /** What to do; undefined if the line says nothing that is known. */
  fix?: string;
  /** Only the last thing that the program said: it does not look like an error. */
  vague?: true;
}

export interface CauseOptions {
  app: string;
  /** Which machine the program ran on. */
  where: "host" | "runner";
  projectFile: ProjectFile;
  /** Whether the last line counts even if it does not look like an error: the program has failed. */
  lastLine?: boolean;
}

const longest = 300;
/** What a program printed last says why it ended. */
const longestOutput = 64 * 1024;
/** More of a line is not looked at: what went wrong stands at its beginning. */
const longestLine = 2000;

/** What servers and tools put in front of a line. */
const prefixes =
  /^(?:\[\d{4}-\d\d-\d\d[^\]]*\] \[\d+\] \[[A-Z]+\] |\[\d{4}-\d\d-\d\d [\d:,]+: [A-Z]+\/[\w-]+\] |(?:ERROR|CRITICAL): {3,}|cutover: cannot start: )/;
/** `django.db.utils.OperationalError` is known by its last part. */
const qualified = /^(?:[a-z_]\w*\.)+(?=[A-Z]\w*(?:Error|Exception|Configured|NotFound)\b)/;
/** What a server, or cutover's own launcher, prints of itself while all is well. */
const ordinary =
  /^(?:\[\d{4}-\d\d-\d\d[^\]]*\] \[\d+\] \[INFO\] |INFO: {5}|\[\d{4}-\d\d-\d\d [\d:,]+: INFO\/|cutover: (?!cannot start))/;
/** Lines that follow from another failure, in words that look like one. */
const consequence =
  /^(?:Reason: (?:Worker|App) failed|Worker \(pid:\d+\) (?:exited|was sent)|Shutting down|unable to load app 0|\*\*\* |Try '|Usage:|npm (?:ERR!|error) A complete log|\[notice\]|note: |hint: |╰|WARNING|INFO|DEBUG|Exception ignored|Exception in (?:worker|ASGI)|Worker with pid \d+ was terminated due to signal (?!9$)|Unable to load celery application|Error: Invalid value for '-A')/i;
const looksLikeError =
  /\b(?:errors?|there is no|not executable|Windows line ends|no shell reads|[A-Z]\w*Error|[A-Z]\w*Exception|fatal|failed|cannot|could not|can't|not found|denied|no such|refused|invalid|missing|unable|unknown command|killed|has no attribute|was terminated due to)\b/i;

/** A file of a release on a host, by the path that a program prints. */
export const releaseFile: ProjectFile = (path) =>
  /\/apps\/[a-z0-9-]+\/releases\/[^/]+\/app\/((?!.*\/site-packages\/).+)$/.exec(path)?.[1];

/** A file of the project on this machine. */
export function fileBelow(directory: string): ProjectFile {
  const prefix = `${directory.replace(/\/$/, "")}/`;
  return (path) => {
    if (path.startsWith(prefix) && !path.includes("/site-packages/")) return path.slice(prefix.length);
    return path.startsWith("/") || path.startsWith("<") ? undefined : path.replace(/^\.\//, "");
  };
}

/** @returns undefined if the output does not say */
export function findCause(output: string, options: CauseOptions): Cause | undefined {
  const lines = output
    .slice(-longestOutput)
    .split(/\r?\n/)
    .map((line) => line.slice(0, longestLine));
  const raised = lastTraceback(lines, options.projectFile);
  const said = raised?.exception ?? plainLine(lines, options.lastLine ?? false);
  const byLine = (wanted: Hint["anywhere"]) => anywhere(lines, raised, wanted, options);
  const first = byLine("first");
  if (first !== undefined) return first;
  const known = said === undefined ? undefined : knownCause(said, raised, lines, options);
  if (known !== undefined) return known;
  const told = byLine("always");
  if (told !== undefined) return told;
  if (said === undefined) return byLine("if nothing else") ?? byLine("if silent");
  if (raised !== undefined || looksLikeError.test(said)) return unexplained(said, raised, options);
  return byLine("if nothing else") ?? { ...unexplained(said, raised, options), vague: true };
}

/** By the last line that says what went wrong. */
function knownCause(
  said: string,
  raised: Raised | undefined,
  lines: string[],
  options: CauseOptions,
): Cause | undefined {
  const found = hints.find((each) => each.pattern.test(said) && fits(each, lines));
  const known = found === undefined ? undefined : explained(said, found, raised, options);
  const variable = found === undefined || found.value === true ? variableIn(raised) : undefined;
  return raised === undefined || variable === undefined ? known : ofVariable(variable, raised, options, known);
}

/** A hint whose line is not the last one. */
function anywhere(
  lines: string[],
  raised: Raised | undefined,
  wanted: Hint["anywhere"],
  options: CauseOptions,
): Cause | undefined {
  for (const hint of hints) {
    if (hint.anywhere !== wanted || !fits(hint, lines)) continue;
    const line = lines.findLast((each) => hint.pattern.test(each));
    if (line !== undefined) return explained(withoutPrefix(line), hint, raised, options);
  }
  return undefined;
}

function fits({ with: needed, without }: Hint, lines: string[]): boolean {
  const has = (pattern: RegExp) => lines.some((line) => pattern.test(line));
  return (needed === undefined || has(needed)) && (without === undefined || !has(without));
}

/** The last line that says what went wrong. pip says it first and what follows from it later, so its first ERROR counts. */
function plainLine(lines: string[], lastLine: boolean): string | undefined {
  const plain = lines.filter((line) => !ordinary.test(line)).map(withoutPrefix);
  const telling = plain.filter((line) => line !== "" && !consequence.test(line) && !isOwnSocket(line));
  const errors = telling.filter((line) => looksLikeError.test(line));
  return (
    errors.find((line) => /^ERROR: (?!Could not find a version)/.test(line)) ??
    errors.at(-1) ??
    (lastLine ? telling.at(-1) : undefined)
  );
}

function withoutPrefix(line: string): string {
  return line.replace(prefixes, "").replace(qualified, "").trim();
}

function explained(said: string, hint: Hint, raised: Raised | undefined, { app, where }: CauseOptions): Cause {
  const [, ...groups] = hint.pattern.exec(said) ?? [];
  const [group = "", next = ""] = groups.filter((each) => each !== undefined);
  const line = withFrame(said, raised);
  const values: Record<string, string> = {
    ...{ "{1}": group, "{2}": next, "{app}": app, "{line}": line, "{package}": packageOf(group) },
    ...{ "{variable}": group.toUpperCase(), "{place}": placeOf(raised) },
  };
  const fill = (text: string) => text.replace(/\{\w+\}/g, (name) => values[name] ?? name);
  const fix = where === "runner" ? (hint.runnerFix ?? hint.fix) : hint.fix;
  return { line: cut(fill(hint.cause ?? "{line}")), fix: cut(fill(fix)), ...frameOf(raised) };
}

/** Of a line that no hint knows. */
function unexplained(said: string, raised: Raised | undefined, { app, where }: CauseOptions): Cause {
  const frame = raised?.frame;
  const line = cut(withFrame(said, raised));
  if (raised === undefined || frame === undefined) return { line };
  const place = placeOf(raised);
  const set =
    where === "host" ? `with \`cutover env set ${app} NAME\`, or in \`env\` of cutover.yml` : "in `env` of this step";
  if (raised.own === true && onPurpose.test(raised.source ?? "")) {
    const fix = `${place} ends it with this error on purpose: make true what it asks for, and deploy again. A variable of the environment is set ${set}.`;
    return { line, frame, fix: cut(fix) };
  }
  if (raised.own === true || /^(?:Syntax|Indentation|Tab)Error/.test(said)) {
    return { line, frame, fix: `Correct ${frame.file}, line ${frame.line}, and deploy again.` };
  }
  return {
    ...{ line, frame },
    fix: cut(
      `What ${place} calls has failed: correct what it is given there, or the setting that this comes from, and deploy again.`,
    ),
  };
}

/** A line by which a project itself refuses to go on. */
const onPurpose = /^(?:(?:raise|assert)\b|(?:sys\.)?exit\()/;
/** How Python, django-environ and python-decouple read a variable of the environment. */
const readsVariable = /\b(?:environ(?:\.get)?|getenv|env(?:\.\w+)?|config)\s*[([]\s*['"]([A-Z][A-Z0-9_]*)['"]/;
/** What a wrong value leads to. A syntax error in that line is another thing. */
const ofValue = /^(?!Syntax|Indentation|Tab|Name|Import|ModuleNotFound)\w+/;

/** The variable of the environment that the line which failed reads. */
function variableIn(raised: Raised | undefined): string | undefined {
  return ofValue.test(raised?.exception ?? "") ? readsVariable.exec(raised?.source ?? "")?.[1] : undefined;
}

/** @param known what a hint says of the value that is wrong */
function ofVariable(name: string, raised: Raised, { app, where }: CauseOptions, known: Cause | undefined): Cause {
  const place = placeOf(raised);
  const fix =
    where === "host"
      ? `${place} reads the variable ${name} of the environment: \`cutover env list ${app}\` shows whether it is set. Set what the code expects with \`cutover env set ${app} ${name}\`, or in \`env\` of cutover.yml.`
      : `${place} reads the variable ${name} of the environment: set what the code expects in \`env\` of this step.`;
  return { line: cut(withFrame(raised.exception, raised)), ...known, fix: cut(fix), ...frameOf(raised) };
}

function placeOf(raised: Raised | undefined): string {
  const frame = raised?.frame;
  return frame === undefined ? "the code" : `${frame.file}, line ${frame.line}`;
}

function withFrame(said: string, raised: Raised | undefined): string {
  const frame = raised?.frame;
  return frame === undefined ? said : `${said} (${frame.file}:${frame.line})`;
}

function frameOf(raised: Raised | undefined): { frame?: Frame } {
  return raised?.frame === undefined ? {} : { frame: raised.frame };
}

function cut(text: string): string {
  return ownText(text.length > longest ? `${text.slice(0, longest - 4)} ...` : text);
}
