import { mkdirSync, statSync } from "node:fs";
import { delimiter, join, posix } from "node:path";
import { fileBelow, findCause } from "../../shared/causes/cause.ts";
import { argv } from "../../shared/command.ts";
import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { findProgram } from "../../shared/find-program.ts";
import { startableProgram } from "../../shared/startable-program.ts";
import type { Exec } from "../runner/exec.ts";
import { withoutSecrets } from "../runner/secrets.ts";
import { configFault } from "./config.ts";
import { reading } from "./unreadable.ts";
import { type PackFile, walkFiles } from "./walk.ts";

type StaticEntry = Config["static"][number];

export interface CollectContext {
  directory: string;
  env: NodeJS.ProcessEnv;
  /** The programs of the build environment, which come before PATH; undefined if there is none. */
  bin: string | undefined;
  exec: Exec;
  onLine(line: string): void;
  signal: AbortSignal;
}

/**
 * Runs the `collect` commands in the project, in their order. The first has started when this returns its promise.
 * @throws CutoverError collect_failed
 */
export async function collectStatic(config: Config, context: CollectContext): Promise<void> {
  for (const entry of config.static) {
    if (entry.collect !== undefined) await collect(config, entry, entry.collect, context);
  }
}

async function collect(config: Config, entry: StaticEntry, command: string | string[], context: CollectContext) {
  const { directory, bin, exec, onLine, signal } = context;
  const inherited = withoutSecrets(context.env);
  const path = [bin, inherited.PATH].filter((part) => part !== undefined).join(delimiter);
  const env = { ...inherited, ...config.env, PATH: path };
  const words = argv(command);
  const [name = "", ...args] = words;
  const none = name === "python" && findProgram(name, path, directory) === undefined;
  const fallback = none ? findProgram("python3", path, directory) : undefined;
  const failed = (how: string, output: string) => failure(entry, words, { app: config.app, directory, how, output });
  let program: string;
  try {
    program = fallback ?? startableProgram(name, path, directory);
  } catch (thrown) {
    throw failed("It was not started.", (thrown as Error).message);
  }
  const { ok, how, output } = await exec({ argv: [program, ...args], cwd: directory, env, onLine, signal });
  if (!ok) throw failed(how, output);
  // Django makes no folder for no files: an API has none.
  const folder = join(directory, staticFolder(config, entry));
  const nothing = /^0 static files? (?:copied|symlinked)/m.test(output);
  if (nothing && statSync(folder, { throwIfNoEntry: false }) === undefined) {
    mkdirSync(folder, { recursive: true });
    onLine(`${entry.url}: there are no static files.`);
  }
}

interface Failed {
  app: string;
  directory: string;
  how: string;
  output: string;
}

function failure(entry: StaticEntry, words: string[], { app, directory, how, output }: Failed): CutoverError {
  const cause = findCause(output, { app, where: "runner", projectFile: fileBelow(directory), lastLine: true });
  const command = words.join(" ");
  const why = cause === undefined ? `${how} It printed nothing.` : cause.line;
  return new CutoverError(
    "collect_failed",
    `\`${command}\`, which collects the files of ${entry.url}, failed: ${why}`,
    {
      unchanged: "Nothing was sent.",
      fix: cause?.fix ?? `Run \`${command}\` in a fresh checkout, as this step does, and correct what it says.`,
      evidence: output === "" ? [] : [{ source: command, text: output }],
      ...(cause?.frame !== undefined && { frame: cause.frame }),
    },
  );
}

/**
 * The files of every static entry, at `static/<url path>/`. If one entry's URL lies below another's, the
 * longer one wins, as in nginx.
 * @throws CutoverError collect_failed, config_invalid, symlink_outside, path_not_allowed
 */
export function staticFiles(config: Config, directory: string): PackFile[] {
  const files = new Map<string, PackFile>();
  const entries = config.static.toSorted((a, b) => a.url.length - b.url.length);
  for (const entry of entries) {
    const from = join(directory, staticFolder(config, entry));
    const stats = reading(entry.from, () => statSync(from, { throwIfNoEntry: false }));
    if (!entry.url.endsWith("/")) {
      const file = singleFile(config, entry, directory);
      files.set(file.path, file);
      continue;
    }
    if (stats?.isDirectory() !== true) throw missingFolder(config, entry);
    const area = posix.join("static", entry.url).replace(/\/$/, "");
    for (const file of walkFiles({ root: directory, directory: from, area, exclude: [".DS_Store"] })) {
      files.set(file.path, file);
    }
  }
  return [...files.values()];
}

/** An entry that is one file, such as `/favicon.ico`. It may have another name in the project. */
function singleFile(config: Config, entry: StaticEntry, directory: string): PackFile {
  const from = posix.normalize(entry.from);
  const exclude = ["/*", `!/${escaped(posix.basename(from))}`];
  const folder = join(directory, posix.dirname(from));
  if (reading(entry.from, () => statSync(join(directory, from), { throwIfNoEntry: false }))?.isFile() === true) {
    const [file] = walkFiles({ root: directory, directory: folder, area: "static", exclude });
    if (file !== undefined) return { ...file, path: posix.join("static", entry.url) };
  }
  throw configFault(
    `static.${config.static.indexOf(entry)}.from`,
    `the project has no file ${entry.from}, and \`url\` is one file`,
    "Correct it, or end `url` with a slash if it is a folder.",
  );
}

const escaped = (path: string) => path.replace(/[\\*?[\]!# ]/g, "\\$&");

/** Patterns that keep the collected folders out of app/: the agent puts a symlink to the static files in their place. */
export function collectedFolders(config: Config): string[] {
  return config.static.map((entry) => `/${escaped(staticFolder(config, entry))}/`);
}

function staticFolder(config: Config, entry: StaticEntry): string {
  const folder = posix.normalize(entry.from).replace(/\/$/, "");
  if (folder !== ".") return folder;
  throw configFault(
    `static.${config.static.indexOf(entry)}.from`,
    "it is the whole project",
    "Name the folder that contains the static files alone.",
  );
}

function missingFolder(config: Config, entry: StaticEntry): CutoverError {
  if (entry.collect === undefined) {
    return configFault(
      `static.${config.static.indexOf(entry)}.from`,
      `the project has no folder ${entry.from}`,
      "Correct it, or give the command that makes it as `collect`.",
    );
  }
  return new CutoverError("collect_failed", `The command for ${entry.url} succeeded but made no ${entry.from}.`, {
    unchanged: "Nothing was sent.",
    fix: "`from` must be the folder that the command writes to; for Django, STATIC_ROOT, relative to the project.",
  });
}
