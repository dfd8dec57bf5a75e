import { sharedSchema } from "../config-site.ts";
import type { ProjectFiles } from "../project-clues.ts";
import { type DjangoSettings, folderUrlOf } from "./django-settings.ts";
import { at } from "./findings.ts";
import type { Written } from "./write-scan.ts";

/** Something of a project that the running site writes, as `shared` in cutover.yml takes it. */
export interface WrittenPath {
  /** With a slash at its end: a folder. */
  path: string;
  url?: string;
  why: string;
}

/** A database that only tests have, such as `data-test.sqlite`. */
const ofTests = /(?:^|[/._-])tests?(?:ing)?[._-][^/]*$/;

/** Code that no visitor starts. */
const besides = /(?:^|\/)(?:tests?|examples?|docs?|scripts?|tools?|benchmarks?|notebooks?|migrations|alembic)\//i;

/**
 * The files and folders of the project that the site writes, for `shared`. A release is read-only, and new at each deploy.
 * @param names of the packages that the project needs
 * @param taken folders that are links or collected already
 */
export function writtenPaths(
  files: ProjectFiles,
  names: ReadonlySet<string> | undefined,
  settings: DjangoSettings | undefined,
  taken: string[] = [],
): WrittenPath[] {
  const found = settings === undefined ? ofPython(files, names) : ofDjango(settings);
  const good = found.filter(
    ({ path }) => sharedSchema.safeParse({ path }).success && !/[{}*%<>:?]/.test(path) && !isCode(path, files),
  );
  const apart = (one: string, other: string) => !`${one}/`.startsWith(`${other.replace(/\/$/, "")}/`);
  const free = good.filter(({ path }) => taken.every((each) => apart(path, each) && apart(each, path)));
  const whole = free.filter((one) =>
    free.every((other) => other === one || other.path === one.path || apart(one.path, other.path)),
  );
  return whole.filter(({ path }, index) => whole.findIndex((other) => other.path === path) === index).slice(0, 12);
}

/** A folder with Python files cannot be replaced by one of the host. */
function isCode(path: string, files: ProjectFiles): boolean {
  return path.endsWith("/") && (files.paths?.() ?? []).some((each) => each.startsWith(path) && each.endsWith(".py"));
}

function ofDjango({ sqlite, mediaRoot, mediaUrl, logs, inside, where }: DjangoSettings): WrittenPath[] {
  const media = mediaRoot === undefined ? undefined : inside(mediaRoot);
  const url = mediaUrl === undefined ? undefined : folderUrlOf(mediaUrl);
  const given = (file: string | undefined, why: string): WrittenPath[] =>
    file === undefined ? [] : [{ path: file, why }];
  return [
    ...sqlite.flatMap((file) => given(inside(file), `the SQLite database (${where.DATABASES ?? "DATABASES"})`)),
    ...(media === undefined
      ? []
      : [
          {
            path: `${media}/`,
            ...(url !== undefined && { url }),
            why: `MEDIA_ROOT (${where.MEDIA_ROOT ?? "the settings"})`,
          },
        ]),
    ...logs.flatMap((file) => logPath(inside(file), where.LOGGING ?? "LOGGING")),
  ];
}

/** A folder of logs as a whole, so that they can be rotated. */
function logPath(file: string | undefined, where: string): WrittenPath[] {
  if (file === undefined || file.startsWith("..")) return [];
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  return [{ path: folder === "" ? file : folder, why: `a log (${where})` }];
}

function ofPython(files: ProjectFiles, names: ReadonlySet<string> | undefined): WrittenPath[] {
  const found = (files.writes?.() ?? []).filter(({ file }) => !besides.test(file));
  return found
    .filter(({ value }) => !value.startsWith("..") && !ofTests.test(value))
    .flatMap((one) => ofWritten(one, names));
}

function ofWritten({ kind, value, file, line }: Written, names: ReadonlySet<string> | undefined): WrittenPath[] {
  const where = at(file, line);
  if (kind === "flask") return [ofFlask(value, where, names)];
  if (kind === "sqlite") return [{ path: value, why: `an SQLite database (${where})` }];
  if (kind === "log") return logPath(value, where);
  return [{ path: `${value.replace(/\/$/, "")}/`, why: `the site writes into it (${where})` }];
}

/** Flask-SQLAlchemy takes a relative path to lie in the instance folder. */
function ofFlask(value: string, where: string, names: ReadonlySet<string> | undefined): WrittenPath {
  const plain = !value.includes("/") && names?.has("flask-sqlalchemy") === true;
  return plain
    ? { path: "instance/", why: `the instance folder, with the SQLite database (${where})` }
    : { path: value, why: `an SQLite database (${where})` };
}
