import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import type { z } from "zod";
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import { appName } from "../../shared/names.ts";
import { calls } from "../../shared/protocol.ts";
import { appSettingsSchema } from "../settings.ts";
import { type AppFile, renderAppFile } from "./app-file.ts";
import type { AgentClient } from "./client.ts";
import { confirm } from "./confirm.ts";
import { type Context, contextOf, newCommand, usageError } from "./context.ts";
import type { Terminal } from "./terminal.ts";
import { renderTrust } from "./trust.ts";
import { type AppRow, renderApps } from "./view.ts";

/** `app add`, `app list`, `app show`, `app remove`: what the host's owner does. */
export function appCommand(terminal: Terminal): Command {
  return newCommand("app", "add, list, show or remove the apps of this host", "cutover app list")
    .addCommand(addCommand(terminal))
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(removeCommand(terminal));
}

interface AddOptions {
  user?: string;
  key?: string[];
  github?: string;
  environment?: string;
  ref?: string;
  anyRef?: boolean;
  repositoryId?: string;
  ownerId?: string;
  issuer?: string;
  listen?: string[];
  domain?: string[];
  ports?: string[];
}

const collect = (value: string, before: string[] = []) => [...before, value];

function addCommand(terminal: Terminal): Command {
  return newCommand(
    "add",
    "let an app be deployed to this host: writes its settings file",
    "cutover app add shop --user shop --github acme/shop --environment production --domain shop.example.com",
  )
    .argument("<app>", "the app's name, as in its cutover.yml")
    .option("--user <user>", "the user that the app runs as")
    .option("--github <owner/name>", "a repository of GitHub whose workflow may deploy it, without a key")
    .option("--environment <name>", "with --github: only jobs of this environment")
    .option("--ref <ref>", "with --github: only this branch or tag, such as refs/heads/main")
    .option("--any-ref", "with --github: every branch, tag and environment of the repository")
    .option("--repository-id <id>", "with --github: learnt at the first call that is accepted, unless given")
    .option("--owner-id <id>", "with --github: likewise")
    .option("--issuer <url>", "with --github: which of agent.yml's `github`, where it is not the first")
    .option("--key <line>", "a public key that may deploy it; may be given several times", collect)
    .option("--listen <address>", "a port, or address:port, that its site may listen on; several times", collect)
    .option("--domain <name>", "a domain that it may serve; several times", collect)
    .option("--ports <range>", "ports for its instances, such as 9000-9099, for `bind: port`; several times", collect)
    .action(async (app: string, options: AddOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const settings = settingsOf(app, options);
      const file = context.places.appFile(app);
      await writeAppFile(app, file, renderAppFile(app, settings));
      context.show({ app, file, ...settings }, () => renderAdded(app, file, settings));
    });
}

function settingsOf(app: string, options: AddOptions): AppFile {
  const { user, key, listen, domain, ports } = options;
  if (!appName.safeParse(app).success) throw usageError(`${app} is no name for an app: 1 to 32 of a-z, 0-9 and -.`);
  const github = githubOf(options);
  const settings = {
    ...(user !== undefined && { user }),
    trust: [...(github === undefined ? [] : [{ github }]), ...(key ?? []).map((line) => ({ key: line }))],
    ...(listen !== undefined && { listen: listen.map((text) => (/^\d+$/.test(text) ? Number(text) : text)) }),
    ...(domain !== undefined && { domains: domain }),
    ...(ports !== undefined && { ports: ports.length === 1 ? ports[0] : ports }),
  };
  const result = appSettingsSchema.safeParse(settings);
  if (result.success) return settings;
  const flags: Record<string, string> = {
    user: "--user",
    repository: "--github",
    repository_id: "--repository-id",
    owner_id: "--owner-id",
    environment: "--environment",
    ref: "--ref",
    issuer: "--issuer",
    key: "--key",
    github: "--github: give --environment NAME or --ref refs/heads/main, or --any-ref for every branch",
    listen: "--listen",
    domains: "--domain",
    ports: "--ports",
  };
  const faults = result.error.issues.map((issue) => {
    const [first, , kind, name] = issue.path.map(String);
    // The pair of environment and ref has no key of its own, and its message speaks of the file's words.
    if (first === "trust" && kind === "github" && name === undefined) return flags.github ?? "";
    return `${flags[(first === "trust" ? (name ?? kind) : first) ?? ""] ?? ""}: ${reasonOf(issue)}`;
  });
  throw usageError([...new Set(faults)].join("\n"));
}

function githubOf(options: AddOptions): NonNullable<NonNullable<AppFile["trust"]>[number]["github"]> | undefined {
  const { github, environment, ref, anyRef, repositoryId, ownerId, issuer } = options;
  const narrower = { environment, ref, anyRef, repositoryId, ownerId, issuer };
  if (github === undefined) {
    if (Object.values(narrower).every((value) => value === undefined)) return undefined;
    throw usageError("--environment, --ref, --any-ref, --repository-id, --owner-id and --issuer belong to --github.");
  }
  return {
    repository: github,
    ...(repositoryId !== undefined && { repository_id: repositoryId }),
    ...(ownerId !== undefined && { owner_id: ownerId }),
    ...(environment !== undefined && { environment }),
    ...(ref !== undefined && { ref }),
    ...(anyRef === true && { any_ref: true }),
    ...(issuer !== undefined && { issuer }),
  };
}

function reasonOf(issue: z.core.$ZodIssue): string {
  return issue.code === "invalid_union"
    ? [...new Set(issue.errors.flat().map(({ message }) => message))].join(", or ")
    : issue.message;
}

async function writeAppFile(app: string, file: string, text: string): Promise<void> {
  try {
    const made = await mkdir(dirname(file), { recursive: true });
    // A helper refuses settings that others could have written.
    if (made !== undefined) await chmod(dirname(file), 0o755);
    await writeFile(file, text, { flag: "wx", mode: 0o644 });
    // Whatever the umask: the agent is another user and reads it.
    await chmod(file, 0o644);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      throw new CutoverError("app_exists", `The host already has an app ${app}: ${file}`, {
        unchanged: "The file is as it was.",
        fix: "Edit the file; the agent reads it anew at each call.",
        cause,
      });
    }
    throw new CutoverError("host_settings_invalid", `The settings file cannot be written: ${message}`, {
      unchanged: "No app was added.",
      fix: "Run it as root, or give another directory with --config or --embedded.",
      cause,
    });
  }
}

function renderAdded(app: string, file: string, { trust = [], user }: AppFile): string {
  const steps = [
    ...(trust.length === 0
      ? [
          `Nobody may deploy it yet: name its repository under \`trust\`, or the public line of a key that \`cutover keygen\` made.`,
        ]
      : []),
    ...trust.flatMap(({ github }) => (github === undefined ? [] : githubSteps(app, github))),
    ...(user === undefined ? [] : [`The user ${user} must exist: \`adduser --system --group ${user}\`.`]),
    `Secrets of the app: \`cutover env set ${app} NAME\`. They go into ${file.replace(/\.yml$/, ".env")}.`,
    `Deploy from the workflow with \`app: ${app}\` in cutover.yml, then look at \`cutover status ${app}\`.`,
  ];
  return `Added ${app}: ${file}\n\nWhat comes next:\n${steps.map((step) => `  - ${step}\n`).join("")}`;
}

function githubSteps(
  app: string,
  { repository, repository_id, owner_id, environment }: NonNullable<NonNullable<AppFile["trust"]>[number]["github"]>,
): string[] {
  const job = environment === undefined ? "" : ` and \`environment: ${environment}\``;
  const learnt =
    repository_id !== undefined && owner_id !== undefined
      ? []
      : [
          `The ids of ${repository} are not given: they are learnt at the first call that is accepted, and no others count from then on. \`cutover app show ${app}\` shows them. To give them: \`gh api repos/${repository} --jq '.id, .owner.id'\`.`,
        ];
  return [...learnt, `The job of the workflow needs \`permissions: { contents: read, id-token: write }\`${job}.`];
}

function showCommand(terminal: Terminal): Command {
  return newCommand("show", "show whom an app trusts to deploy it, and for what", "cutover app show shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.trust, { app });
      context.show(view, () => renderTrust(view));
    });
}

function listCommand(terminal: Terminal): Command {
  return newCommand("list", "list the apps of this host", "cutover app list").action(
    async (_options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const { apps } = await client.call(calls.apps, {});
      const rows = await Promise.all(apps.map((app) => rowOf(client, app)));
      context.show(rows, () => renderApps(rows, context.view()));
    },
  );
}

// One app with broken settings must not hide the others.
async function rowOf(client: AgentClient, app: string): Promise<AppRow> {
  try {
    return { app, view: await client.call(calls.app, { app }) };
  } catch (thrown) {
    return { app, problem: asCutoverError(thrown).message };
  }
}

function removeCommand(terminal: Terminal): Command {
  return newCommand(
    "remove",
    "take an app off this host, with its releases and its site",
    "cutover app remove shop --yes",
  )
    .argument("<app>", "the app")
    .option("--yes", "do not ask")
    .action(async (app: string, options: { yes?: boolean }, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      await client.call(calls.app, { app });
      if (options.yes !== true && !(await confirmed(context, app))) {
        context.show({ app, removed: false }, () => "Nothing was removed.");
        return;
      }
      await client.call(calls.removeApp, { app });
      const file = context.places.appFile(app);
      await rm(file, { force: true });
      context.show({ app, removed: true, file }, () => `Removed ${app} with its releases, its site and ${file}.`);
    });
}

async function confirmed({ terminal }: Context, app: string): Promise<boolean> {
  if (terminal.stdin.isTTY !== true)
    throw usageError(`This stops ${app} and deletes it. Without a terminal to ask on, say so with --yes.`);
  return confirm(terminal, `Stop ${app} and delete its releases, environments and site from this host?`);
}
