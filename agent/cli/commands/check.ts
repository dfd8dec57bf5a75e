import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { type Context, contextOf, newCommand, type SetExit } from "../context.ts";
import { type CheckFault, checkConfig } from "../project/checked-config.ts";
import { notesFor } from "../project/notes.ts";
import { projectIn } from "../project/project-directory.ts";
import { safe, type Terminal } from "../terminal/terminal.ts";

/** `check`: finds what the Action would refuse in a cutover.yml, without a host and without running anything. */
export function checkCommand(terminal: Terminal, setExit: SetExit): Command {
  return newCommand("check", "check a cutover.yml and its project, without a host", "cutover check")
    .argument("[file]", "the configuration file, in the project's directory", "cutover.yml")
    .action(async (file: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const directory = dirname(resolve(file));
      const project = projectIn(directory);
      const { app, kind, faults, config } = checkConfig(await readConfig(file), project);
      const notes = config === undefined ? [] : notesFor(directory, project, config);
      const good = faults.every(({ severity }) => severity === "warning");
      context.show(
        { file, ok: good, ...(app !== undefined && { app, kind }), faults, ...(notes.length > 0 && { notes }) },
        () => {
          const head = good ? context.style("green", `${file} is good: ${app} on ${kind}.`) : countOf(faults);
          const told = notes.map((note) => `${context.style("bold", "note")}: ${safe(note)}`);
          return [...faults.map((fault) => renderFault(file, fault, context)), ...told, head].join("\n");
        },
      );
      setExit(good ? 0 : 1);
    });
}

function countOf(faults: CheckFault[]): string {
  const errors = faults.filter(({ severity }) => severity === "error").length;
  return errors === 1 ? "Correct this line." : `Correct these ${errors} lines.`;
}

export function renderFault(file: string, fault: CheckFault, { style }: Pick<Context, "style">): string {
  const { line, column, severity, message } = fault;
  return `${file}:${line}:${column}: ${style(severity === "error" ? "red" : "yellow", severity)}: ${safe(message)}`;
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CutoverError("config_not_found", `${file} does not exist or cannot be read.`, {
      unchanged: "Nothing was checked.",
      fix: "Run it in the project's directory, give the path of the file, or make one with `cutover init`.",
      cause,
    });
  }
}
