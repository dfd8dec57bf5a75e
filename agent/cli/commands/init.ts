import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { type ServerKind, serverKinds } from "../../../shared/config-server.ts";
import { serverName } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { appName } from "../../../shared/names.ts";
import { type Context, contextOf, newCommand, usageError } from "../context.ts";
import { type CheckFault, checkConfig } from "../project/checked-config.ts";
import { projectIn } from "../project/project-directory.ts";
import { type Given, projectFacts } from "../project/project-facts.ts";
import { type ProjectFacts, renderCutoverYml, renderWorkflow } from "../project/project-files.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { renderFault } from "./check.ts";

interface InitOptions {
  name?: string;
  kind?: ServerKind;
  app?: string;
  command?: string;
  domain?: string;
  force?: boolean;
  dryRun?: boolean;
}

/** `init`: writes the two files that a project needs, and prints the steps on the host. */
export function initCommand(terminal: Terminal, version: string): Command {
  return newCommand(
    "init",
    "write cutover.yml and .github/workflows/deploy.yml for this project",
    "cutover init --domain shop.example.com",
  )
    .argument("[directory]", "the project's directory", ".")
    .option("--name <app>", "the app's name (default: that of the directory)")
    .addOption(new Option("--kind <kind>", "what serves it (default: found in the project)").choices(serverKinds))
    .option("--app <module:attribute>", "with --kind: the application")
    .option("--command <command>", "with --kind: the command line")
    .option("--domain <name>", "the site's domain")
    .option("--force", "overwrite existing files")
    .option("--dry-run", "print the files, and write nothing")
    .action(async (directory: string, options: InitOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const path = resolve(directory);
      await mustBeDirectory(path);
      const { facts, root } = projectFacts(path, given(options), version);
      const files = [
        { path: join(path, "cutover.yml"), text: renderCutoverYml(facts) },
        { path: join(root, ".github/workflows/deploy.yml"), text: renderWorkflow(facts) },
      ];
      const { faults } = checkConfig(files[0]?.text ?? "", projectIn(path));
      if (options.dryRun !== true) await writeAll(files, options.force === true);
      const shown = files.map((file) => ({ ...file, path: relative(process.cwd(), file.path) || file.path }));
      context.show({ ...facts, written: options.dryRun !== true, files: shown, faults }, () =>
        options.dryRun === true
          ? shown.map(({ path, text }) => `${context.style("bold", `==> ${path} <==`)}\n${text}`).join("\n")
          : rendered(shown, faults, facts, context),
      );
    });
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

function given({ name, kind, app, command, domain }: InitOptions): Given {
  if (name !== undefined && !appName.safeParse(name).success) {
    throw usageError(`${name} is not a valid app name: it has 1 to 32 characters of a-z, 0-9 and -.`);
  }
  if (domain !== undefined && !serverName.safeParse(domain).success) throw usageError(`${domain} is not a domain.`);
  if (kind === undefined && (app !== undefined || command !== undefined))
    throw usageError("--app and --command need --kind.");
  const parts = { ...(app !== undefined && { app }), ...(command !== undefined && { command }) };
  return {
    ...(name !== undefined && { name }),
    ...(domain !== undefined && { domain }),
    ...(kind !== undefined && { server: { kind, ...parts, why: ["as you said"] } }),
  };
}

async function writeAll(files: { path: string; text: string }[], force: boolean): Promise<void> {
  const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => path);
  if (there.length > 0 && !force) throw exists(there.join(" and "));
  for (const { path, text } of files) {
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { flag: force ? "w" : "wx" });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "EEXIST") throw exists(path);
      throw new CutoverError("request_invalid", `${path} cannot be written: ${(cause as Error).message}`, {
        fix: "Run it in a directory that you may write to, or print the files with --dry-run.",
        cause,
      });
    }
  }
}

function exists(path: string): CutoverError {
  return new CutoverError("file_exists", `${path} exists already.`, {
    unchanged: "Nothing was written.",
    fix: "Print the new text with --dry-run, or overwrite the file with --force.",
  });
}

function rendered(files: { path: string }[], faults: CheckFault[], facts: ProjectFacts, context: Context): string {
  const { app, domain, repository = "OWNER/NAME" } = facts;
  const address = domain === undefined ? "" : ` --domain ${domain}`;
  const steps = [
    "On each host, once: install the agent (https://github.com/cutover/cutover/tree/main/agent#a-host-step-by-step).",
    `On each host: \`useradd --system --create-home ${app}\`, and`,
    `  cutover app add ${app} --user ${app} --github ${repository} --environment production --listen 80${address}`,
    `  cutover env set ${app} SECRET_KEY, and other secrets; then \`cutover doctor\` says whether the host is ready`,
    "In the repository's settings make the environment `production`, and set the addresses of the hosts:",
    "  gh variable set CUTOVER_HOSTS --env production --body https://web1.example.com:7070",
    "Commit the two files and push. For hosts that cannot reach GitHub use a key: `cutover keygen --help`.",
  ];
  return [
    ...files.map(({ path }) => `Wrote ${path}`),
    ...faults.map((fault) => renderFault(files[0]?.path ?? "", fault, context)),
    "",
    "Next steps:",
    ...steps.map((step) => (step.startsWith("  ") ? `    ${step.trim()}` : `  - ${step}`)),
  ].join("\n");
}
