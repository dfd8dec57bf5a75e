import type { Command } from "commander";
import type { z } from "zod";
import { appName } from "../../../shared/names.ts";
import { appSettingsSchema } from "../../settings.ts";
import { contextOf, newCommand, usageError } from "../context.ts";
import { type AppFile, renderAppFile, writeAppFile } from "../host-files/app-file.ts";
import type { Terminal } from "../terminal/terminal.ts";

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

/** `app add`: writes the settings file with which a host lets an app be deployed. */
export function appAddCommand(terminal: Terminal): Command {
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
