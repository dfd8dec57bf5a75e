import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import { type ServerKind, serverKinds } from "../../../shared/config-server.ts";
import { serverName } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { appName } from "../../../shared/names.ts";
import { type Context, contextOf, newCommand, usageError } from "../context.ts";
import { type CheckFault, checkConfig } from "../project/checked-config.ts";
import { projectIn } from "../project/project-directory.ts";
import { projectFacts, type Said } from "../project/project-facts.ts";
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

/** `init`: the two files that a project needs, and what is to be done on the host. */
export function initCommand(terminal: Terminal, version: string): Command {
  return newCommand(
    "init",
    "write cutover.yml and .github/workflows/deploy.yml for the project here",
    "cutover init --domain shop.example.com",
  )
    .argument("[directory]", "the project's directory", ".")
    .option("--name <app>", "the app's name (default: the directory's)")
    .addOption(new Option("--kind <kind>", "what serves it, where the project does not tell").choices(serverKinds))
    .option("--app <module:attribute>", "the application, for --kind")
    .option("--command <command>", "the command line, for --kind")
    .option("--domain <name>", "the site's domain")
    .option("--force", "overwrite files that are there")
    .option("--dry-run", "print the files and write nothing")
    .action(async (directory: string, options: InitOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const path = resolve(directory);
      const { facts, root } = projectFacts(path, said(options), version);
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

function said({ name, kind, app, command, domain }: InitOptions): Said {
  if (name !== undefined && !appName.safeParse(name).success) {
    throw usageError(`${name} is no name for an app: 1 to 32 of a-z, 0-9 and -.`);
  }
  if (domain !== undefined && !serverName.safeParse(domain).success) throw usageError(`${domain} is no domain.`);
  if (kind === undefined && (app !== undefined || command !== undefined))
    throw usageError("Say with --kind what runs it.");
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
        fix: "Run it where you may write, or look at the text with --dry-run.",
        cause,
      });
    }
  }
}

function exists(path: string): CutoverError {
  return new CutoverError("file_exists", `There is ${path} already.`, {
    unchanged: "Nothing was written.",
    fix: "See what it would be with --dry-run, or overwrite it with --force.",
  });
}

function rendered(files: { path: string }[], faults: CheckFault[], facts: ProjectFacts, context: Context): string {
  const { app, domain, repository = "OWNER/NAME" } = facts;
  const address = domain === undefined ? "" : ` --domain ${domain}`;
  const steps = [
    'On each host, once: install the agent, as the README says under "On the host".',
    `On each host: \`useradd --system --create-home ${app}\`, and`,
    `  cutover app add ${app} --user ${app} --github ${repository} --environment production --listen 80${address}`,
    `  cutover env set ${app} SECRET_KEY, and what else is secret; \`cutover doctor\` says whether the host is ready`,
    "In the repository's settings make the environment `production`, and say where the hosts are:",
    "  gh variable set CUTOVER_HOSTS --env production --body https://web1.example.com:7070",
    "Commit the two files and push. Hosts that cannot reach GitHub take a key instead: `cutover keygen --help`.",
  ];
  return [
    ...files.map(({ path }) => `Wrote ${path}`),
    ...faults.map((fault) => renderFault(files[0]?.path ?? "", fault, context)),
    "",
    "What comes next:",
    ...steps.map((step) => (step.startsWith("  ") ? `    ${step.trim()}` : `  - ${step}`)),
  ].join("\n");
}
