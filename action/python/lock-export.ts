import { parseArgsStringToArgv } from "string-argv";
import { type DependencySource, parseSource } from "../../shared/dependencies/form.ts";
import { normalName, parseRequirement, type Requirement } from "../../shared/dependencies/requirement.ts";
import { findProgram } from "../../shared/find-program.ts";
import { withoutSecrets } from "../runner/secrets.ts";
import type { PythonContext } from "./interpreter.ts";
import { logicalLines } from "./requirements.ts";

export interface ExportContext extends PythonContext {
  onLine(line: string): void;
}

/**
 * The requirements of a lock as its own tool writes them.
 * @returns undefined if the tool is not on PATH, or cannot export
 */
export async function exportedLock(given: string, context: ExportContext): Promise<Requirement[] | undefined> {
  const source = parseSource(given);
  const command = exportCommand(source);
  const [name = ""] = command ?? [];
  const program = findProgram(name, context.env.PATH ?? "");
  // What a tool writes for a lock above the project has paths from there.
  if (command === undefined || program === undefined || source.file.startsWith("../")) return undefined;
  const { directory, env, exec, signal, onLine } = context;
  // Nothing is resolved, and no interpreter is downloaded: the lock says it all.
  const quiet = { UV_PYTHON_DOWNLOADS: "never", UV_OFFLINE: "1", PIPENV_IGNORE_VIRTUALENVS: "1", NO_COLOR: "1" };
  const argv = [program, ...command.slice(1)];
  const { ok, how, stdout } = await exec({ argv, cwd: directory, env: { ...withoutSecrets(env), ...quiet }, signal });
  if (!ok) {
    onLine(
      `${command.slice(0, 2).join(" ")} did not work (${how.replace(/\.$/, "")}); ${source.file} is read without it.`,
    );
    return undefined;
  }
  onLine(`${source.file}: as ${command.slice(0, 2).join(" ")} writes it.`);
  return parseExport(stdout, directory);
}

/** Without what is only for development, as the hosts need it. */
export function exportCommand({ form, extras, groups }: DependencySource): string[] | undefined {
  const each = (option: string, names: string[]) => names.flatMap((name) => [option, name]);
  switch (form) {
    case "uv": {
      const exact = ["--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"];
      return [
        "uv",
        "export",
        "--format",
        "requirements-txt",
        ...exact,
        ...each("--extra", extras),
        ...each("--group", groups),
      ];
    }
    case "poetry":
      return [
        "poetry",
        "export",
        "--format",
        "requirements.txt",
        ...each("--extras", extras),
        ...each("--with", groups),
      ];
    case "pdm":
      return ["pdm", "export", "--prod", "--format", "requirements", ...each("--group", [...extras, ...groups])];
    case "pipfile-lock": {
      const categories = groups.length === 0 ? [] : ["--categories", ["packages", ...groups].join(",")];
      return ["pipenv", "requirements", "--hash", ...categories];
    }
    default:
      return undefined;
  }
}

/**
 * Reads what an export wrote: requirements with markers and hashes. Its lines for indexes are left out, since the lock
 * itself says where its packages come from.
 * @param directory the project, whose absolute paths become relative ones
 */
export function parseExport(text: string, directory: string): Requirement[] {
  return logicalLines(text).flatMap((line) => {
    const editable = /^(?:-e|--editable)[\s=]+(.*)$/.exec(line);
    if (editable === null && /^-/.test(line)) return [];
    const [given = "", ...options] = (editable?.[1] ?? line).split(/\s(?=--hash)/);
    const hashes = parseArgsStringToArgv(options.join(" "))
      .map((option) => option.replace(/^--hash=/, ""))
      .toSorted();
    const { line: what, marker } = parseRequirement(given.trim());
    return [{ ...named(what, directory), marker, hashes }];
  });
}

/** `lib @ ...`, an address with `#egg=lib`, a path, or a name with its version. */
function named(what: string, directory: string): Pick<Requirement, "name" | "line"> {
  const [, egg] = /[#&]egg=([\w.-]+)/.exec(what) ?? [];
  if (egg !== undefined && /^[a-z]+\+/.test(what)) {
    const address = what.replace(/([#&])egg=[\w.-]+(?:\[[^\]]*\])?(&?)/, (_, mark: string, more: string) =>
      more === "" ? "" : mark,
    );
    return { name: normalName(egg), line: `${normalName(egg)} @ ${address}` };
  }
  const [, name, path] = /^(?:([\w.-]+)\s*@\s*)?file:\/\/(\/.*)$/.exec(what) ?? [];
  if (path?.startsWith(`${directory}/`) === true) {
    return { name: normalName(name ?? ""), line: `./${decodeURI(path.slice(directory.length + 1))}` };
  }
  const isPath = /^\.{0,2}\//.test(what) || what === ".";
  const [, plain = ""] = isPath ? [] : (/^([A-Za-z0-9][\w.-]*)/.exec(what) ?? []);
  return { name: normalName(plain), line: what };
}
