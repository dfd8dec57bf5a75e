import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";
import type { appSettingsSchema } from "../../settings.ts";

export type AppFile = z.input<typeof appSettingsSchema>;

/** Never overwrites one. @throws CutoverError app_exists, host_settings_invalid */
export async function writeAppFile(app: string, file: string, text: string): Promise<void> {
  try {
    const made = await mkdir(dirname(file), { recursive: true });
    // The helper refuses settings that others than root could write.
    if (made !== undefined) await chmod(dirname(file), 0o755);
    await writeFile(file, text, { flag: "wx", mode: 0o644 });
    // Whatever the umask is: the agent, another user, must read it.
    await chmod(file, 0o644);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") {
      throw new CutoverError("app_exists", `The host already has an app ${app}: ${file}`, {
        unchanged: "The file is as it was.",
        fix: "Edit the file; the agent reads it again at each call.",
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

/** The text of a new apps/<app>.yml, with a comment for each key. Values are JSON strings, which are valid YAML. */
export function renderAppFile(app: string, { user, trust = [], listen, domains, tls, ports }: AppFile): string {
  const quoted = (values: (string | number)[]) => `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
  const keys = trust.flatMap(({ key, github, expires, comment }) => [
    ...(github === undefined ? [`  - key: ${JSON.stringify(key)}`] : ["  - github:", ...githubLines(github)]),
    ...(expires === undefined ? [] : [`    expires: ${JSON.stringify(expires)}`]),
    ...(comment === undefined ? [] : [`    comment: ${JSON.stringify(comment)}`]),
    "    # allow: [deploy, activate, redeploy, rollback, abort, read]   # default: all of them",
  ]);
  const lines = [
    `# What this host allows the app ${app}. The agent reads it at each call: an edit needs no restart.`,
    "",
    "# The user that runs the app's instances, processes, build steps and release command.",
    user === undefined ? `# user: ${app}` : `user: ${JSON.stringify(user)}`,
    "",
    "# Who may deploy it: workflows of a repository (`github`), or the holder of a key from `cutover keygen` (`key`).",
    ...(keys.length === 0 ? ["trust: []"] : ["trust:", ...keys]),
    "",
    "# The addresses on which its site may listen.",
    listen === undefined ? "# listen: [80]" : `listen: ${quoted(listen)}`,
    "",
    "# The domains that it may serve. Without any it may be the default server of its addresses.",
    domains === undefined ? '# domains: ["shop.example.com", "*.shop.example.com"]' : `domains: ${quoted(domains)}`,
    "",
    "# The certificate for addresses with ssl: `auto`, or `{ certificate: FILE, key: FILE }`.",
    tls === "auto" ? "tls: auto" : "# tls: auto",
    "",
    "# Ports of 127.0.0.1 for its instances, if its cutover.yml has `bind: port`.",
    ports === undefined
      ? '# ports: "9000-9099"'
      : `ports: ${typeof ports === "string" ? JSON.stringify(ports) : quoted(ports)}`,
    "",
    `# A file of NAME=value lines, such as passwords. They override the environment of cutover.yml. Default: ${app}.env`,
    `# env_file: ${app}.env`,
  ];
  return `${lines.join("\n")}\n`;
}

type GithubLines = NonNullable<NonNullable<AppFile["trust"]>[number]["github"]>;

function githubLines({ repository_id, owner_id, environment, ref, ...github }: GithubLines): string[] {
  const id = (name: string, value: string | undefined) =>
    value === undefined
      ? `      # ${name}: "123"   # default: the id of the first accepted call`
      : `      ${name}: ${JSON.stringify(value)}`;
  const line = (name: string, value: unknown) =>
    value === undefined ? [] : [`      ${name}: ${JSON.stringify(value)}`];
  return [
    `      repository: ${JSON.stringify(github.repository)}`,
    id("repository_id", repository_id),
    id("owner_id", owner_id),
    ...line("environment", environment),
    ...line("ref", ref),
    ...line("any_ref", github.any_ref),
    ...line("workflow", github.workflow),
    ...line("job_workflow", github.job_workflow),
    ...line("runner", github.runner),
    ...line("ref_protected", github.ref_protected),
    ...line("issuer", github.issuer),
    ...(github.events === undefined
      ? ["      # events: [push, workflow_dispatch]   # default: these and release, schedule, deployment"]
      : [`      events: [${github.events.map((event) => JSON.stringify(event)).join(", ")}]`]),
  ];
}
