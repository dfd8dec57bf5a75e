import { parseArgsStringToArgv } from "string-argv";

/** The words of a command: a text is split as a shell would split it, but no shell runs. A list is taken as it is. */
export function argv(command: string | string[]): string[] {
  return typeof command === "string" ? parseArgsStringToArgv(command) : command;
}
