/** What the runner makes of an action's output files and of the commands in its log. */

const levels = ["error", "warning", "notice"] as const;

export interface Annotation {
  level: (typeof levels)[number];
  title: string;
  message: string;
  /** `file:line` in the repository, if it has one. */
  at?: string;
}

/** The name=value and name<<delimiter forms of GITHUB_OUTPUT. @throws Error for what the runner would refuse */
export function parseFileCommands(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  const lines = text.split(/\r?\n/);
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    if (line === "") continue;
    const [, name, form, rest] = /^([^=<]+)(=|<<)(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) throw new Error(`not a file command: ${line}`);
    if (form === "=") {
      values[name] = rest;
      continue;
    }
    const end = lines.indexOf(rest, index + 1);
    if (end === -1) throw new Error(`${name} does not end with ${rest}`);
    values[name] = lines.slice(index + 1, end).join("\n");
    index = end;
  }
  return values;
}

/** Annotations and masks, in their order; lines between `::stop-commands::` and its token are only text. */
export function annotationsOf(log: string[]): { annotations: Annotation[]; masked: string[] } {
  const annotations: Annotation[] = [];
  const masked: string[] = [];
  let stopped: string | undefined;
  for (const line of log) {
    const [, command, properties = "", message = ""] = /^\s*::([^ :]+)(?: ([^:]*))?::(.*)$/.exec(line) ?? [];
    if (command === undefined) continue;
    if (stopped !== undefined) {
      if (command === stopped) stopped = undefined;
    } else if (command === "stop-commands") stopped = message;
    else if (command === "add-mask") masked.push(unescaped(message));
    else annotations.push(...annotationOf(command, properties, message));
  }
  return { annotations, masked };
}

/** None for a command that makes no annotation. */
function annotationOf(command: string, properties: string, message: string): Annotation[] {
  const level = levels.find((each) => each === command);
  if (level === undefined) return [];
  const title = /(?:^|,)title=([^,]*)/.exec(properties)?.[1] ?? "";
  const [, file] = /(?:^|,)file=([^,]*)/.exec(properties) ?? [];
  const [, line = ""] = /(?:^|,)line=([^,]*)/.exec(properties) ?? [];
  const at = file === undefined ? {} : { at: `${unescaped(file)}:${line}` };
  return [{ level, title: unescaped(title), message: unescaped(message), ...at }];
}

function unescaped(text: string): string {
  return text
    .replaceAll("%0D", "\r")
    .replaceAll("%0A", "\n")
    .replaceAll("%3A", ":")
    .replaceAll("%2C", ",")
    .replaceAll("%25", "%");
}
