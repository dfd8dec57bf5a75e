import { dirname, join, resolve } from "node:path";
import type { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";
import { appName } from "../../../shared/names.ts";
import { parseYamlFile } from "../../../shared/yaml-file.ts";
import type { Apps } from "../../contracts/ports.ts";
import { type AgentSettings, type AppSettings, agentSettingsSchema, appSettingsSchema } from "../../settings.ts";
import { listIfExists, readIfExists } from "./read-if-exists.ts";

const faults = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;

/** The directory with one `<app>.yml` for each app of this host. */
export class AppsDirectory implements Apps {
  readonly #directory: string;
  /** What each file said when it was last read: parsing takes much longer than reading, and would show who has a file. */
  readonly #parsed = new Map<string, { text: string; settings: z.output<typeof appSettingsSchema> }>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async names(): Promise<string[]> {
    const files = await listIfExists(this.#directory).catch((error: unknown) => {
      throw unreadable(this.#directory, error);
    });
    return files
      .filter((file) => file.endsWith(".yml"))
      .map((file) => file.slice(0, -".yml".length))
      .filter((name) => appName.safeParse(name).success)
      .toSorted();
  }

  async settings(app: string): Promise<AppSettings> {
    const file = join(this.#directory, `${app}.yml`);
    // Names come from URLs: only a valid name may become a path.
    const text = appName.safeParse(app).success ? await readSettings(file) : undefined;
    if (text === undefined) {
      this.#parsed.delete(app);
      throw new CutoverError("app_not_found", `This host has no app ${JSON.stringify(app)}.`, {
        unchanged: "Nothing was changed.",
        fix: `\`cutover app list\` shows the apps of this host, and \`cutover app add ${appName.safeParse(app).success ? app : "<app>"}\` adds one. In a project, correct \`app\` in cutover.yml.`,
      });
    }
    const known = this.#parsed.get(app);
    const settings = known?.text === text ? known.settings : parseYamlFile(text, file, appSettingsSchema, faults);
    this.#parsed.set(app, { text, settings });
    const { env_file: secrets } = settings;
    // Relative to the settings file, wherever the agent was started.
    return { ...settings, ...(secrets !== undefined && { env_file: resolve(this.#directory, secrets) }), app, file };
  }
}

/**
 * The agent's own settings; all defaults if the file does not exist.
 * @throws CutoverError host_settings_invalid
 */
export async function readAgentSettings(file: string): Promise<AgentSettings> {
  return parseYamlFile((await readSettings(file)) ?? "", file, agentSettingsSchema, faults);
}

async function readSettings(file: string): Promise<string | undefined> {
  try {
    return await readIfExists(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(path: string, cause: unknown): CutoverError {
  const denied = (cause as NodeJS.ErrnoException).code === "EACCES";
  const reason = denied ? "the agent's user may not" : (cause as Error).message;
  return new CutoverError("host_settings_invalid", `${path} cannot be read: ${reason}.`, {
    unchanged: "Nothing was changed.",
    fix: denied
      ? `It has no secrets. Open it, with its directory, to everybody on the host: \`chmod a+rX ${dirname(path)} ${path}\`.`
      : "It must be an ordinary file, in a directory that the agent may enter.",
    cause,
  });
}
