import { ownText } from "../own-text.ts";

/** The end of a Python traceback: what was raised, and where in the project. */
export interface Raised {
  /** With its message, such as `KeyError: 'SECRET_KEY'`. */
  exception: string;
  /** The innermost frame in a file of the project; undefined if there is none. */
  frame?: Frame;
  /** The line of code there, as Python prints it. */
  source?: string;
  /** Whether that line raised it itself, and not something that it calls. */
  own?: boolean;
}

/** `file` is relative to the project. */
export interface Frame {
  file: string;
  line: number;
}

/** Tells which file of the project a path on this machine is; undefined for a file of somebody else. */
export type ProjectFile = (path: string) => string | undefined;

const start = "Traceback (most recent call last):";
const frameLine = /^\s*File "(.+)", line (\d+)/;
/** At the beginning of a line: a class's name, with the modules that it is from. */
const raisedLine = /^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(: .*)?$/;
/** The line that starts the whole program: what it raises comes from elsewhere. */
const launch = /^\s*(?:main\(\)|execute_from_command_line\(|\w+ = get_[aw]sgi_application\(\))/;
/** How a server ends its own processes: they follow from another failure, or from a stop. */
const passing = new Set(["KeyboardInterrupt", "CancelledError", "SystemExit", "HaltServer", "GeneratorExit"]);

/** Python's logging says first what failed, and then only which of its handlers that was. */
const less = /^ValueError: Unable to (?:configure|add) (?:handler|formatter|filter|logger|root logger)\b/;

const directCause = /^\s*The above exception was the direct cause of the following exception:$/;

/** `sys.exit("the reason")`. */
const reasonOfExit = /^SystemExit: (?!-?\d+$)/;

/** uvicorn removes its socket in the end, although it has none yet if the application did not start. */
const ownSocket = /^FileNotFoundError: .*\bweb-\d+\.sock'$/;

/** The last traceback of a log. Of exceptions that caused each other Python prints the last one last. */
export function lastTraceback(lines: string[], projectFile: ProjectFile): Raised | undefined {
  for (let index = lines.length - 1; index >= 0; index--) {
    const indent = indentOf(lines[index] ?? "");
    if (indent === undefined) continue;
    const rest = lines.slice(index + 1).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    const raised = parse(rest, projectFile);
    if (raised === undefined || follows(raised.exception)) continue;
    const chained = lines.slice(Math.max(0, index - 3), index).some((line) => directCause.test(line));
    if (!chained || !less.test(raised.exception)) return raised;
    const first = lastTraceback(lines.slice(0, index), projectFile);
    return first === undefined ? raised : { ...raised, exception: `${first.exception} (${raised.exception})` };
  }
  return syntaxError(lines, projectFile) ?? headless(lines, projectFile);
}

/** Of the line that begins a traceback: pip puts what a package's build printed behind spaces. undefined for another line. */
function indentOf(line: string): string | undefined {
  const text = line.trimEnd();
  if (!text.endsWith(start)) return undefined;
  const before = text.slice(0, -start.length);
  return before === "" || /\s$/.test(before) ? before.slice(0, before.length - before.trimStart().length) : undefined;
}

/** The end of a traceback whose beginning is not among the last lines of a log. */
function headless(lines: string[], projectFile: ProjectFile): Raised | undefined {
  const end = lines.findLastIndex((line, index) => {
    const [, name, message] = raisedLine.exec(line) ?? [];
    if (name === undefined || !/^[A-Z]\w+$/.test(lastPart(name)) || follows(`${lastPart(name)}${message ?? ""}`))
      return false;
    return lines.slice(Math.max(0, index - 3), index).some((above) => frameLine.test(above));
  });
  if (end === -1) return undefined;
  const above = lines.slice(0, end).findLastIndex((line) => line !== "" && !/^\s/.test(line));
  return parse(lines.slice(above + 1), projectFile);
}

/** Python prints no heading above what is wrong with the very file that it was told to run. */
function syntaxError(lines: string[], projectFile: ProjectFile): Raised | undefined {
  const end = lines.findLastIndex((line) => /^(?:SyntaxError|IndentationError|TabError): /.test(line));
  const place = innermost(lines.slice(Math.max(0, end - 4), Math.max(0, end)), projectFile);
  return place === undefined ? undefined : { exception: lines[end] ?? "", ...place };
}

function parse(lines: string[], projectFile: ProjectFile): Raised | undefined {
  const end = lines.findIndex((line) => line !== "" && !/^\s/.test(line));
  const [, name, message] = raisedLine.exec(lines[end] ?? "") ?? [];
  if (name === undefined) return undefined;
  // A message may begin on the next line.
  const next = lines[end + 1];
  const text = message ?? (next?.startsWith("  ") === true ? `: ${next.trim()}` : "");
  // Pydantic says on two lines each what is missing.
  const more = /\bvalidation errors? for /.test(text)
    ? `: ${lines
        .slice(end + 1, end + 3)
        .map((line) => line.trim())
        .join(" ")}`
    : "";
  return { exception: `${lastPart(name)}${text}${more}`, ...innermost(lines.slice(0, end), projectFile) };
}

function innermost(lines: string[], projectFile: ProjectFile): Omit<Required<Raised>, "exception"> | undefined {
  const last = lines.findLastIndex((text) => frameLine.test(text));
  const frames = lines.flatMap((text, index) => {
    const [, path, line] = frameLine.exec(text) ?? [];
    const source = lines[index + 1] ?? "";
    if (launch.test(source)) return [];
    const file = path === undefined ? undefined : projectFile(path);
    if (file === undefined) return [];
    // Python says line 0 of a file that it cannot decode.
    const frame = { file: ownText(file), line: Math.max(1, Number(line)) };
    return [{ frame, source: frameLine.test(source) ? "" : source.trim(), own: index === last }];
  });
  return frames.at(-1);
}

/** Whether a line only says that the server's own socket is not there. */
export function isOwnSocket(line: string): boolean {
  return ownSocket.test(line);
}

function follows(exception: string): boolean {
  if (reasonOfExit.test(exception)) return false;
  return passing.has(exception.split(":", 1)[0] ?? "") || ownSocket.test(exception);
}

/** `django.core.exceptions.ImproperlyConfigured` is known by its last part. */
function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}
