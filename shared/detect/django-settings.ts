import { execFile, spawnSync } from "node:child_process";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { z } from "zod";
import { settingsProgram } from "./settings-program.ts";

const output = z.object({
  values: z.record(z.string(), z.unknown()),
  /** Settings that are given, whether or not their value can be told. */
  named: z.array(z.string()),
  lines: z.record(z.string(), z.tuple([z.string(), z.int()])),
  conditions: z.record(z.string(), z.int()).optional(),
  foreign: z.array(z.string()).optional(),
});

/** What Django's settings say about files. Paths are absolute, as the settings make them on this machine. */
export interface DjangoSettings {
  staticUrl?: string;
  /** undefined: not given. `unknown`: given, but its value cannot be told from the text. */
  staticRoot?: string | { unknown: true };
  mediaUrl?: string;
  mediaRoot?: string;
  /** Static files are not on the hosts: the storage that has them, or the host. */
  remote?: string;
  /** django.contrib.staticfiles is installed. */
  staticfiles: boolean;
  /** django-compressor finds its files only if `compress` made them. */
  compressed: boolean;
  /** There is a database; Django refuses to migrate without one. */
  databases: boolean;
  /** Files of SQLite databases. */
  sqlite: string[];
  /** Files that `LOGGING` writes to. */
  logs: string[];
  /** DEBUG is True in the text, whatever the environment says. */
  debug: boolean;
  /** A path of the settings as one in the project: relative, with `/`; undefined if it lies elsewhere. */
  inside(path: string): string | undefined;
  /** Where each setting stands: `shop/settings.py:12`. */
  where: Record<string, string>;
  /** Settings that are given under a condition alone which does not hold as the text has it, and its line. */
  conditions: Record<string, string>;
  /** Modules of other packages that settings are taken from, and that are not read. */
  foreign: string[];
}

const options = { timeout: 30_000, maxBuffer: 8 * 1024 * 1024, cwd: "/" };

/** Reads the settings' text with Python's own parser; nothing is imported. @returns undefined without python3 */
export function readSettings(directory: string, folder: string, module: string): DjangoSettings | undefined {
  const { status, stdout } = spawnSync("python3", argvFor(directory, folder, module), options);
  return status === 0 ? parsed(stdout.toString("utf8"), directory, folder) : undefined;
}

/** The same while this process does something else. Python has started when this returns its promise, which never rejects. */
export function startReadingSettings(
  directory: string,
  folder: string,
  module: string,
): Promise<DjangoSettings | undefined> {
  return new Promise((resolve) => {
    execFile("python3", argvFor(directory, folder, module), options, (error, stdout) => {
      resolve(error === null ? parsed(stdout, directory, folder) : undefined);
    });
  });
}

function argvFor(directory: string, folder: string, module: string): string[] {
  return ["-I", "-S", "-c", settingsProgram, resolve(directory), folder, module];
}

function parsed(printed: string, directory: string, folder: string): DjangoSettings | undefined {
  try {
    return settingsFrom(JSON.parse(printed), directory, folder);
  } catch {
    return undefined;
  }
}

/** @param printed what the program printed: `values`, `named`, `lines` */
export function settingsFrom(printed: unknown, directory: string, folder: string): DjangoSettings {
  const { values, named, lines, conditions = {}, foreign = [] } = output.parse(printed);
  const text = (name: string) => (typeof values[name] === "string" ? (values[name] as string) : undefined);
  const root =
    text("STATIC_ROOT") ??
    (named.includes("STATIC_ROOT") && values.STATIC_ROOT !== null ? { unknown: true as const } : undefined);
  // What is computed nearly always has it.
  const usual = named.includes("INSTALLED_APPS") ? ["django.contrib.staticfiles"] : [];
  const apps = Array.isArray(values.INSTALLED_APPS) ? values.INSTALLED_APPS : usual;
  const [staticUrl, mediaUrl, mediaRoot] = [text("STATIC_URL"), text("MEDIA_URL"), text("MEDIA_ROOT")];
  const elsewhere = /^(?:https?:)?\/\//.test(staticUrl ?? "") ? "the host of STATIC_URL" : undefined;
  const remote = remoteStorage(values) ?? elsewhere;
  return {
    ...(remote !== undefined && { remote }),
    ...(staticUrl !== undefined && { staticUrl }),
    ...(root !== undefined && root !== "" && { staticRoot: root }),
    ...(mediaUrl !== undefined && mediaUrl !== "" && { mediaUrl }),
    ...(mediaRoot !== undefined && mediaRoot !== "" && { mediaRoot }),
    staticfiles: apps.some((app) => /^(?:django\.contrib\.staticfiles|whitenoise)/.test(String(app))),
    compressed: values.COMPRESS_OFFLINE === true,
    databases: named.includes("DATABASES") && JSON.stringify(values.DATABASES ?? "unknown") !== "{}",
    sqlite: sqliteFiles(values.DATABASES),
    logs: logFiles(values.LOGGING),
    debug: values.DEBUG === true,
    foreign,
    inside: (path) => insideProject(directory, path, folder),
    where: Object.fromEntries(Object.entries(lines).map(([name, [file, line]]) => [name, `${file}:${line}`])),
    conditions: Object.fromEntries(
      Object.entries(conditions).map(([name, line]) => [name, `${lines[name]?.[0] ?? ""}:${line}`]),
    ),
  };
}

function remoteStorage({
  STORAGES: storages,
  STATICFILES_STORAGE: storage,
}: Record<string, unknown>): string | undefined {
  const { staticfiles } = (storages ?? {}) as { staticfiles?: { BACKEND?: unknown } };
  const name = String(staticfiles?.BACKEND ?? storage ?? "");
  return /s3|boto|gcloud|google|azure|cloudinary|oss|cos\b|qiniu|dropbox|storages\.backends/i.test(name)
    ? name
    : undefined;
}

function sqliteFiles(databases: unknown): string[] {
  const all = typeof databases === "object" && databases !== null ? Object.values(databases) : [];
  return all.flatMap((each: unknown) => {
    // As dj_database_url and django-environ have it: an address.
    if (typeof each === "string") return /^sqlite:\/\/\/(.+)/.exec(each)?.[1] ?? [];
    const { ENGINE: engine, NAME: name } = (each ?? {}) as Record<string, unknown>;
    return String(engine).includes("sqlite3") && typeof name === "string" && name !== ":memory:" ? [name] : [];
  });
}

function logFiles(logging: unknown): string[] {
  const { handlers } = (logging ?? {}) as { handlers?: unknown };
  const all = typeof handlers === "object" && handlers !== null ? Object.values(handlers) : [];
  return all.flatMap((each: unknown) => {
    const { filename } = (each ?? {}) as { filename?: unknown };
    return typeof filename === "string" && filename !== "" ? [filename] : [];
  });
}

function insideProject(directory: string, path: string, folder: string): string | undefined {
  // A relative path is relative to where the process runs: the project, or the folder of manage.py for its commands.
  // A place on Windows, such as C:\\logs, is none here.
  if (/^(?:[A-Za-z]:|\\\\)/.test(path)) return undefined;
  const absolute = isAbsolute(path) ? path : join(resolve(directory), folder, path);
  const inside = relative(resolve(directory), absolute);
  return inside === "" || inside.startsWith("..") || isAbsolute(inside) ? undefined : inside.split(sep).join("/");
}

/** STATIC_URL as Django uses it and nginx needs it; undefined for another host's. */
export function folderUrlOf(url: string): string | undefined {
  if (/^(?:https?:)?\/\//.test(url)) return undefined;
  const plain = `/${url.replace(/^\/+/, "").replace(/\/*$/, "")}/`;
  return plain === "//" ? undefined : plain;
}
