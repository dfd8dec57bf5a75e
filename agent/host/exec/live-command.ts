import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Config, configSchema } from "../../../shared/config.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseId, releaseOfRun, runId } from "../../../shared/names.ts";
import { parseJson } from "../../../shared/plain-json.ts";
import { assertOwnGroup } from "../ownership/own-group.ts";
import { type AppUser, appUser } from "../ownership/users.ts";
import { AppsDirectory, readAgentSettings } from "../store/apps-dir.ts";
import { type AppLayout, appLayout } from "../store/layout.ts";
import { assertRootOwned, RootApps } from "../store/root-settings.ts";
import { safeRead } from "../store/safe-read.ts";
import { launcherFile, writeLaunchFile } from "../supervisor/launch-files.ts";
import { commandEnvironment } from "./app-commands.ts";

export interface LiveCommandRequest {
  /** The directory of agent.yml and apps/. */
  config: string;
  /** Whether it is that of an embedded agent, which runs an app without `user` as its own user, also as root. */
  embedded: boolean;
  app: string;
  /** The run that is live. The agent says which one, so this is checked, and decides nothing else. */
  run: string;
}

/** How a command of the live release runs. All of it comes from the host's own files and its user database. */
export interface LiveCommand {
  release: string;
  /** The project's directory in the release. */
  directory: string;
  /** The whole environment, with the app's secrets. Only a process of the app's user may get it. */
  env: Record<string, string>;
  user: AppUser;
}

/** Bytes of a release's configuration. It has passed the limits of a manifest, and is small. */
const longestConfig = 8 * 1024 * 1024;
/** Where only root can write, and where nothing outlives a boot. */
const runtime = "/run";
/** As for the instances and the release command of the app. */
const umask = 0o022;

/**
 * How a command runs in the live release, as the app's user.
 * @throws CutoverError forbidden, host_settings_invalid, app_not_found, release_not_found
 */
export async function liveCommand({ config, embedded, app, run }: LiveCommandRequest): Promise<LiveCommand> {
  const isRoot = process.geteuid?.() === 0;
  const file = join(config, "agent.yml");
  if (isRoot) await assertRootOwned(file);
  const agent = await readAgentSettings(file);
  await assertOwnAgent(agent.data, app);
  const apps = new AppsDirectory(join(config, "apps"));
  const settings = await (isRoot ? new RootApps(apps) : apps).settings(app);
  const user = await appUser(settings, embedded);
  await assertOwnGroup(settings, user);
  const layout = appLayout(agent.data, app);
  const release = releaseId.parse(releaseOfRun(runId.parse(run)));
  const spec = { app, run, release, config: releaseConfig(layout, app, release) };
  const { directory, env } = await commandEnvironment({ layout, settings, user }, spec);
  return { release, directory, env, user };
}

/** The agent of a host is root or has a helper that is; then its data is root's. Another one runs apps as its own user. */
async function assertOwnAgent(data: string, app: string): Promise<void> {
  const owner = (await stat(data).catch(() => undefined))?.uid;
  const own = process.geteuid?.();
  if (owner === own || owner === undefined) return;
  throw new CutoverError("forbidden", `The commands of ${app} do not run as you.`, {
    unchanged: "The command was not started.",
    fix: owner === 0 ? "Run it with sudo." : `Run it as the agent's user: \`sudo -u '#${owner}' cutover exec ...\`.`,
  });
}

/** @throws CutoverError release_not_found */
function releaseConfig(layout: AppLayout, app: string, release: string): Config {
  try {
    assertDirectories(layout.release(release), "app");
    const text = safeRead(layout.release(release), "config.json", longestConfig).toString("utf8");
    const config = configSchema.parse(parseJson(text));
    if (config.app === app) return config;
    throw new Error(`the configuration is that of ${config.app}`);
  } catch (cause) {
    throw new CutoverError("release_not_found", `The host has no whole release ${release} of ${app}.`, {
      unchanged: "The command was not started.",
      fix: `Look at \`cutover status ${app}\`, then deploy again.`,
      cause,
    });
  }
}

/** Neither may be a link, which could lead to any directory. @throws the system's error */
function assertDirectories(outer: string, inner: string): void {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const opened = openSync(outer, flags);
  try {
    closeSync(openSync(`/proc/self/fd/${opened}/${inner}`, flags));
  } finally {
    closeSync(opened);
  }
}

export interface LaunchedAs {
  uid: number;
  gid: number;
  /** The words that become the command when the app's user runs them. No word is the app's. */
  words: string[];
}

/**
 * Hands a command over to the app's user: by a file that this user alone can read, so that no process of root's has the app's
 * environment, and no list of processes shows it. The user's group would be too many: a build is in it, and sees /run.
 * @throws Error if the command runs as the user of this process
 */
export async function withLaunchFile<T>(
  { user, directory, env }: LiveCommand,
  argv: string[],
  work: (launched: LaunchedAs) => Promise<T>,
): Promise<T> {
  const { other } = user;
  if (other === undefined) throw new Error("there is no other user to hand the command to");
  const path = join(runtime, `cutover-exec-${randomBytes(8).toString("hex")}.json`);
  try {
    await writeLaunchFile(path, { argv, env, directory, umask }, { uid: other.uid });
    return await work({ ...other, words: [process.execPath, launcherFile(), path] });
  } finally {
    await rm(path, { force: true });
  }
}
