import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { describeCandidate } from "../../../shared/complete-server.ts";
import { type ServerKind, serverKinds } from "../../../shared/config-server.ts";
import { serverName } from "../../../shared/config-values.ts";
import { dependencyFiles } from "../../../shared/detect/dependencies.ts";
import { survey } from "../../../shared/detect/detect.ts";
import type { Candidate } from "../../../shared/detect/findings.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { appName } from "../../../shared/names.ts";
import { type Context, contextOf, newCommand, type SetExit, usageError } from "../context.ts";
import { foundLines, nextSteps } from "../project/next-steps.ts";
import { type Given, type Place, planFor } from "../project/plan.ts";
import { projectIn } from "../project/project-directory.ts";
import { type Subproject, subprojects } from "../project/subprojects.ts";
import { filesFor, type ProjectFiles, shown, writeAll } from "../project/write-project.ts";
import { choose } from "../terminal/questions.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { renderFault } from "./check.ts";

interface InitOptions {
  name?: string;
  kind?: ServerKind;
  app?: string;
  command?: string;
  domain?: string;
  all?: boolean;
  force?: boolean;
  dryRun?: boolean;
}

/** `init`: writes the two files that a project needs, and prints the steps on the host. */
export function initCommand(terminal: Terminal, version: string, setExit: SetExit): Command {
  return newCommand(
    "init",
    "write cutover.yml and a workflow in .github/workflows for this project",
    "cutover init --domain shop.example.com",
  )
    .argument("[directory]", "the project's directory", ".")
    .option("--name <app>", "the app's name (default: that of the directory or the repository)")
    .addOption(new Option("--kind <kind>", "what serves it (default: found in the project)").choices(serverKinds))
    .option("--app <module:attribute>", "with --kind: the application")
    .option("--command <command>", "with --kind: the command line")
    .option("--domain <name>", "the site's domain")
    .option("--all", "each of the projects in the directory's folders: a cutover.yml and a workflow for each")
    .option("--force", "overwrite existing files; workflows that are not cutover's stay all the same")
    .option("--dry-run", "print what was found, the files and what is left to do, and write nothing")
    .action(async (directory: string, options: InitOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const path = resolve(directory);
      await mustBeDirectory(path);
      const dry = options.dryRun === true;
      const asked = given(options);
      const all: ProjectFiles[] = [];
      for (const place of await places(path, directory, options, asked, context)) {
        const taken = all.flatMap(({ files }) => files.map((file) => file.path));
        const made = filesFor(place, await planFor(place, asked, version, chooser(context)), taken);
        if (!dry) await writeAll(made.files, options.force === true);
        all.push(made);
      }
      const result = all.map((each) => ({ ...each.plan, written: !dry, files: shown(each), faults: each.faults }));
      context.show(result.length === 1 ? result[0] : result, () =>
        all.map((each) => rendered(each, dry, context)).join("\n\n"),
      );
      setExit(all.some(({ faults }) => faults.some(({ severity }) => severity === "error")) ? 1 : 0);
    });
}

/** A person at a terminal is asked; a script is told. */
function chooser({ terminal, json }: Context) {
  if (json || terminal.stdin.isTTY !== true) return undefined;
  return <T extends Parameters<typeof describeCandidate>[0]>(candidates: T[]) =>
    choose(terminal, "Which of these serves the project?", candidates, describeCandidate);
}

/**
 * The projects: the directory itself, or those of its folders that are projects.
 * @throws CutoverError kind_unknown if there are several, and nobody to ask
 */
async function places(
  path: string,
  typed: string,
  { all }: InitOptions,
  asked: Given,
  context: Context,
): Promise<Place[]> {
  const project = projectIn(path);
  if (asked.server === undefined) mustBeNoTemplate(path, project.folders());
  const itself: Place = { directory: path, base: path, project };
  const found = asked.server === undefined ? subprojects(path, project) : [];
  const [only, another] = found;
  if (only === undefined) return [belowRequirements(itself, typed)];
  const placeOf = ({ folder, project: own }: Subproject) => ({
    directory: join(path, folder),
    base: path,
    project: own,
  });
  if (all === true || another === undefined) return found.map(placeOf);
  if (!context.json && context.terminal.stdin.isTTY === true) {
    return [placeOf(await choose(context.terminal, "Which of these projects?", found, ({ folder }) => `${folder}/`))];
  }
  const folders = found.map(({ folder }) => folder);
  const lines = folders.map((folder) => `cutover init ${join(typed, folder)}`);
  throw new CutoverError("kind_unknown", `${path} holds ${folders.length} projects: ${folders.join(", ")}.`, {
    unchanged: "Nothing was written.",
    fix: `Choose one: ${lines.join("; ")}. Or write the files of each: cutover init ${typed} --all`,
  });
}

/** @throws CutoverError kind_unknown for a template: its files become a project only when its tool has filled them in */
function mustBeNoTemplate(path: string, folders: string[]): void {
  const folder = folders.find((name) => name.includes("{{"));
  if (folder === undefined) return;
  throw new CutoverError("kind_unknown", `${path} is a template, not a project: its folder is named ${folder}.`, {
    unchanged: "Nothing was written.",
    fix: "Make a project of it first, with its own tool, such as `cookiecutter` or `copier copy`, and run `cutover init` in that.",
  });
}

/**
 * What is packed is the folder of cutover.yml, so the requirements must lie in it.
 * @throws CutoverError request_invalid if they lie one folder above, with what they are for
 */
function belowRequirements(place: Place, typed: string): Place {
  const { directory, project } = place;
  if (dependencyFiles(project).length > 0) return place;
  const above = projectIn(dirname(directory));
  const [file] = dependencyFiles(above);
  const { detection } = file === undefined ? { detection: undefined } : survey(above);
  if (detection?.found !== true || detection.env.PYTHONPATH !== basename(directory)) return place;
  throw new CutoverError(
    "request_invalid",
    `${directory} has no requirements: they are in ${join(directory, "..", file ?? "")}.`,
    {
      unchanged: "Nothing was written.",
      fix: `Run it one folder above, which is the whole project: cutover init ${join(typed, "..")}`,
    },
  );
}

/** @throws CutoverError request_invalid */
async function mustBeDirectory(path: string): Promise<void> {
  const why = await readdir(path).then(
    () => undefined,
    (thrown: NodeJS.ErrnoException) => thrown,
  );
  if (why === undefined) return;
  const message = why.code === "ENOENT" ? `There is no directory ${path}.` : `${path} cannot be read: ${why.code}.`;
  throw new CutoverError("request_invalid", message, {
    unchanged: "Nothing was written.",
    fix: "Give the directory of the project, or run it there.",
    cause: why,
  });
}

function given({ name, kind, app, command, domain, all }: InitOptions): Given {
  if (name !== undefined && !appName.safeParse(name).success) {
    throw usageError(`${name} is not a valid app name: it has 1 to 32 characters of a-z, 0-9 and -.`);
  }
  if (domain !== undefined && !serverName.safeParse(domain).success) throw usageError(`${domain} is not a domain.`);
  if (kind === undefined && (app !== undefined || command !== undefined))
    throw usageError("--app and --command need --kind.");
  if (all === true && (name ?? kind ?? domain) !== undefined)
    throw usageError("--all finds the name, the kind and the domain of each: give them one by one.");
  return {
    ...(name !== undefined && { name }),
    ...(domain !== undefined && { domain }),
    ...(kind !== undefined && { server: serverGiven(kind, app, command) }),
  };
}

function serverGiven(kind: ServerKind, app: string | undefined, command: string | undefined): Candidate {
  const bind = command?.includes("{port}") ? { bind: "port" as const } : {};
  return {
    kind,
    ...(app !== undefined && { app }),
    ...(command !== undefined && { command, ...bind }),
    why: ["as you said"],
  };
}

function rendered(made: ProjectFiles, dry: boolean, context: Context): string {
  const files = shown(made);
  const { plan, faults } = made;
  const place = plan.folder === "" ? "" : ` in ${plan.folder}/`;
  const printed = dry
    ? files.flatMap(({ path, text }) => ["", `${context.style("bold", `==> ${path} <==`)}`, text.trimEnd()])
    : files.map(({ path }) => `Wrote ${path}`);
  return [
    `Found${place}:`,
    ...foundLines(plan),
    ...printed,
    ...(dry ? ["", "Nothing was written."] : []),
    ...faults.map((fault) => renderFault(files[0]?.path ?? "", fault, context)),
    "",
    "Next steps:",
    ...nextSteps(plan),
  ].join("\n");
}
