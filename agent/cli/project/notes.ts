import { closeSync, lstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import ignore from "ignore";
import type { Config } from "../../../shared/config.ts";
import { settingsName } from "../../../shared/detect/configurations.ts";
import { survey } from "../../../shared/detect/detect.ts";
import type { Django } from "../../../shared/detect/django.ts";
import type { DjangoSettings } from "../../../shared/detect/django-settings.ts";
import type { WrittenPath } from "../../../shared/detect/written-files.ts";
import type { Project } from "../../../shared/project.ts";

/** What `init` notes of a project, as far as its cutover.yml of today leaves it open. */
export function notesFor(directory: string, project: Project, config: Config): string[] {
  const { django } = survey(project);
  const shared = config.shared.flatMap(({ path }) => (path === undefined ? [] : [{ path }]));
  const databases = databaseNotes(directory, project, shared);
  if (django === undefined) return databases;
  const { DJANGO_SETTINGS_MODULE: given, DJANGO_CONFIGURATION: configuration } = config.env;
  const module = given ?? django.settings?.module;
  const read =
    module === undefined ? undefined : project.djangoSettings?.(django.path, settingsName(module, configuration));
  const isOpen = module === undefined || module === django.settings?.module;
  return [
    ...(isOpen ? unusedNotes(django) : []),
    ...(config.static.some(({ collect }) => collect !== undefined) ? conditionNotes(read) : remoteNotes(django, read)),
    ...databases,
  ];
}

/** Settings for production that no file names: only a person knows whether they are meant. */
export function unusedNotes({ settings }: Django): string[] {
  if (settings === undefined) {
    return [
      "no file names Django's settings, and without them it does not start: write DJANGO_SETTINGS_MODULE below env",
    ];
  }
  if (settings.unused === undefined) return [];
  const { module, file } = settings.unused;
  return [
    `${file} has settings too, and nothing names them: ${settings.module} is used. To use them, write DJANGO_SETTINGS_MODULE: ${module} below env`,
  ];
}

/** Static files are collected on the runner, where a variable of the hosts is not set. */
export function conditionNotes(read: DjangoSettings | undefined): string[] {
  const where = read?.conditions.STATIC_ROOT;
  if (where === undefined) return [];
  return [
    `STATIC_ROOT has a value only under the condition of ${where}: give what makes it true, such as DEBUG, below env, or collecting static files fails`,
  ];
}

/** nginx has none of them, and nobody collects them unless the workflow does. */
export function remoteNotes({ manage }: Django, settings: DjangoSettings | undefined): string[] {
  if (settings?.remote === undefined) return [];
  return [
    `static files are kept by ${settings.remote}, not on the hosts: run \`python ${manage} collectstatic --noinput\` in a step of the workflow that has its keys`,
  ];
}

/** A database of the repository: what is in it comes to the hosts. */
export function databaseNotes(directory: string, project: Project, shared: Pick<WrittenPath, "path">[]): string[] {
  const isIgnored = ignored(project);
  const found = (project.paths?.() ?? []).filter(
    (path) => /\.(?:sqlite3?|db3?)$/.test(path) && !isIgnored(path) && isDatabase(join(directory, path)),
  );
  return found.slice(0, 3).map((path) => {
    const used = shared.some((each) => path === each.path || (each.path.endsWith("/") && path.startsWith(each.path)));
    return used
      ? `${path} is there and git does not ignore it: the first deploy takes its content for the site, and later ones keep what the host has`
      : `${path} is there and git does not ignore it: every release has a copy of it, which nobody can write to`;
  });
}

/** What the project's own .gitignore leaves out. */
function ignored(project: Project): (path: string) => boolean {
  const rules = ignore().add(project.read(".gitignore") ?? "");
  return (path) => rules.ignores(path);
}

/** What has such a name may also be a pipe, which would hold up whoever opens it, or a link to nothing. */
function isDatabase(file: string): boolean {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    return beginningOf(file) === "SQLite format 3\0";
  } catch {
    return false;
  }
}

function beginningOf(file: string): string {
  const opened = openSync(file, "r");
  try {
    const head = Buffer.alloc(16);
    readSync(opened, head, 0, 16, 0);
    return head.toString("latin1");
  } finally {
    closeSync(opened);
  }
}
