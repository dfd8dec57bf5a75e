import type { Command } from "commander";
import type { z } from "zod";
import { appName } from "../../../shared/names.ts";
import { assertOwnGroup } from "../../host/ownership/own-group.ts";
import { userIds } from "../../host/ownership/users.ts";
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
  workflow?: string;
  jobWorkflow?: string;
  runner?: string;
  refProtected?: boolean;
  event?: string[];
  expires?: string;
  repositoryId?: string;
  ownerId?: string;
  issuer?: string;
  listen?: string[];
  domain?: string[];
  tls?: string;
  ports?: string[];
}

const collect = (value: string, before: string[] = []) => [...before, value];

/** `app add`: writes the settings file that lets an app be deployed to this host. */
export function appAddCommand(terminal: Terminal): Command {
  return newCommand(
    "add",
    "let an app be deployed to this host: writes its settings file",
    "cutover app add shop --user shop --github acme/shop \\\n      --environment production --domain shop.example.com",
  )
    .argument("<app>", "the app's name, as in its cutover.yml")
    .option("--user <user>", "the user that the app runs as")
    .option("--github <owner/name>", "a GitHub repository whose workflow may deploy the app, without a key")
    .option("--environment <name>", "with --github: only jobs of this environment")
    .option("--ref <ref>", "with --github: only this branch or tag, such as refs/heads/main")
    .option("--any-ref", "with --github: every branch, tag and environment of the repository")
    .option("--workflow <file>", "with --github: only this workflow file, such as .github/workflows/deploy.yml")
    .option(
      "--job-workflow <file@ref>",
      "with --github: only jobs of this (reusable) workflow: owner/name/...yml@refs/tags/v1",
    )
    .option("--runner <kind>", "with --github: only jobs on such a runner: github-hosted or self-hosted")
    .option("--ref-protected", "with --github: only protected branches and tags")
    .option("--event <event>", "with --github: an event that may start the workflow; repeatable", collect)
    .option("--repository-id <id>", "with --github: the repository's id (default: that of the first accepted call)")
    .option("--owner-id <id>", "with --github: the owner's id (default: that of the first accepted call)")
    .option("--issuer <url>", "with --github: one of `github` in agent.yml (default: the first)")
    .option("--key <line>", "a public key that may deploy the app; repeatable", collect)
    .option("--expires <date>", "the last day on which the repository or the keys count, such as 2027-06-30")
    .option("--listen <address>", "a port or address:port on which its site may listen; repeatable", collect)
    .option("--domain <name>", "a domain that the app may serve; repeatable", collect)
    .option("--tls <auto>", "auto: the agent gets the certificate for addresses with ssl, and renews it")
    .option("--ports <range>", "ports for its instances with `bind: port`, such as 9000-9099; repeatable", collect)
    .action(async (app: string, options: AddOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const settings = settingsOf(app, options);
      const file = context.places.appFile(app);
      const open = context.places.isEmbedded ? [] : await userSteps({ app, file, user: settings.user });
      await writeAppFile(app, file, renderAppFile(app, settings));
      context.show({ app, file, ...settings }, () => renderAdded(app, file, settings, open));
    });
}

/** A user that does not exist yet is made later: the next steps say so. @throws CutoverError host_settings_invalid */
async function userSteps({ app, file, user }: { app: string; file: string; user: string | undefined }) {
  if (user === undefined) return [withoutUser(app, file)];
  const ids = await userIds(user);
  if (ids === undefined) return [`This host has no user ${user} yet. To make it: \`${makeUser(user)}\`.`];
  await assertOwnGroup({ app, file }, { name: user, home: "", other: ids });
  return [];
}

function makeUser(name: string): string {
  return `useradd --system --create-home ${name}`;
}

function settingsOf(app: string, options: AddOptions): AppFile {
  const { user, key, listen, domain, tls, ports } = options;
  if (!appName.safeParse(app).success)
    throw usageError(`${app} is not a valid app name: it has 1 to 32 characters of a-z, 0-9 and -.`);
  const github = githubOf(options);
  const until = options.expires === undefined ? {} : { expires: options.expires };
  const entries = [...(github === undefined ? [] : [{ github }]), ...(key ?? []).map((line) => ({ key: line }))];
  const settings = {
    ...(user !== undefined && { user }),
    trust: entries.map((entry) => ({ ...entry, ...until })),
    ...(listen !== undefined && { listen: listen.map((text) => (/^\d+$/.test(text) ? Number(text) : text)) }),
    ...(domain !== undefined && { domains: domain }),
    ...(tls !== undefined && { tls: onlyAuto(tls) }),
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
    workflow: "--workflow",
    job_workflow: "--job-workflow",
    runner: "--runner",
    events: "--event",
    expires: "--expires",
    issuer: "--issuer",
    key: "--key",
    github: "--github: give --environment NAME or --ref refs/heads/main, or --any-ref for every branch",
    listen: "--listen",
    domains: "--domain",
    ports: "--ports",
  };
  const faults = result.error.issues.map((issue) => {
    const [first, , kind, name] = issue.path.map(String);
    // environment and ref are checked together, so the issue has no key, and its message has the words of the file.
    if (first === "trust" && kind === "github" && name === undefined) return flags.github ?? "";
    return `${flags[(first === "trust" ? (name ?? kind) : first) ?? ""] ?? ""}: ${reasonOf(issue)}`;
  });
  throw usageError([...new Set(faults)].join("\n"));
}

/** Files are written into the settings file by hand: they come with a client of their own. */
function onlyAuto(tls: string): "auto" {
  if (tls !== "auto") throw usageError("--tls takes auto; for files of another client write `tls` into the file.");
  return tls;
}

function githubOf(options: AddOptions): NonNullable<NonNullable<AppFile["trust"]>[number]["github"]> | undefined {
  const { github, environment, ref, anyRef, repositoryId, ownerId, issuer } = options;
  const { workflow, jobWorkflow, runner, refProtected, event } = options;
  const narrower = { environment, ref, anyRef, repositoryId, ownerId, issuer };
  const job = { workflow, jobWorkflow, runner, refProtected, event };
  if (github === undefined) {
    if (Object.values({ ...narrower, ...job }).every((value) => value === undefined)) return undefined;
    throw usageError(
      "--environment, --ref, --any-ref, --repository-id, --owner-id, --issuer, --workflow, --job-workflow, --runner, --ref-protected and --event need --github.",
    );
  }
  return {
    repository: github,
    ...(repositoryId !== undefined && { repository_id: repositoryId }),
    ...(ownerId !== undefined && { owner_id: ownerId }),
    ...(environment !== undefined && { environment }),
    ...(ref !== undefined && { ref }),
    ...(anyRef === true && { any_ref: true }),
    ...(workflow !== undefined && { workflow }),
    ...(jobWorkflow !== undefined && { job_workflow: jobWorkflow }),
    // Checked with the rest of the file.
    ...(runner !== undefined && { runner: runner as "self-hosted" }),
    ...(refProtected === true && { ref_protected: true }),
    ...(event !== undefined && { events: event }),
    ...(issuer !== undefined && { issuer }),
  };
}

function reasonOf(issue: z.core.$ZodIssue): string {
  return issue.code === "invalid_union"
    ? [...new Set(issue.errors.flat().map(({ message }) => message))].join(", or ")
    : issue.message;
}

/** An embedded agent runs each app as its own user. */
function withoutUser(app: string, file: string): string {
  return `It cannot be deployed yet: the file names no user, and an app must not run as root. Make one with \`${makeUser(app)}\`, and write \`user: ${app}\` into ${file}.`;
}

/** @param open what must be done before a deploy can work */
function renderAdded(app: string, file: string, { trust = [] }: AppFile, open: string[]): string {
  const steps = [
    ...open,
    ...(trust.length === 0
      ? [
          `Nobody may deploy it yet. Add its repository under \`trust\`, or the public line of a key that \`cutover keygen\` made.`,
        ]
      : []),
    ...trust.flatMap(({ github }) => (github === undefined ? [] : githubSteps(app, github))),
    `Set secrets of the app with \`cutover env set ${app} NAME\`. They are kept in ${file.replace(/\.yml$/, ".env")}.`,
    `Deploy from the workflow with \`app: ${app}\` in cutover.yml, then run \`cutover status ${app}\`.`,
  ];
  return `Added ${app}: ${file}\n\nNext steps:\n${steps.map((step) => `  - ${step}\n`).join("")}`;
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
          `You gave no ids of ${repository}, so the first accepted call sets them; after that no other ids are accepted. \`cutover app show ${app}\` shows them. To look them up: \`gh api repos/${repository} --jq '.id, .owner.id'\`.`,
        ];
  return [...learnt, `The workflow's job needs \`permissions: { contents: read, id-token: write }\`${job}.`];
}
