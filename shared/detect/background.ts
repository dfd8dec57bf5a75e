import type { Django } from "./django.ts";
import type { FoundProcess } from "./findings.ts";
import { findingsOf, type Sources } from "./resolve.ts";

/** A command line, and what shows that it is needed. */
type Needed = [line: string, why: string];

/**
 * Workers and schedulers that a project needs by its packages and its code, where nobody wrote down how they start: without
 * them jobs wait for ever.
 * @param path the folder that is on Python's path
 */
export function backgroundOf(sources: Sources, django: Django | undefined, path = ""): FoundProcess[] {
  const { names, where } = sources.clues;
  if (names === undefined) return [];
  const packages = [...inDjango].flatMap(([name, command]): Needed[] =>
    django !== undefined && names.has(name) ? [[`python ${django.manage} ${command}`, `${where} has ${name}`]] : [],
  );
  const commands = (sources.files.paths?.() ?? []).flatMap((path): Needed[] => {
    const [, name] = /\/management\/commands\/(runapscheduler|run_scheduler|startscheduler)\.py$/.exec(path) ?? [];
    return django === undefined || name === undefined ? [] : [[`python ${django.manage} ${name}`, path]];
  });
  const all = [
    ...packages,
    ...commands,
    ...(names.has("celery") ? celery(sources, path) : []),
    ...rq(sources, packages),
  ];
  return all.flatMap(([line, why]) => findingsOf({ line, why }, sources).processes);
}

/** Each brings a command of manage.py. */
const inDjango = new Map([
  ["django-q", "qcluster"],
  ["django-q2", "qcluster"],
  ["django-rq", "rqworker default"],
  ["django-dramatiq", "rundramatiq"],
  ["django-tasks", "db_worker"],
  ["django-background-tasks", "process_tasks"],
]);

/** The application of Celery in the project's files, and its beat if there is a schedule. */
function celery({ modules, files, clues }: Sources, path: string): Needed[] {
  const found = Object.entries(modules.scan.modules).flatMap(([file, { module, assigned }]) =>
    assigned
      .filter(({ value }) => value.call?.endsWith(".Celery") === true)
      .map(({ name, line }) => ({ file, module, name, line })),
  );
  const [app] = found;
  if (app === undefined || found.some(({ module }) => module !== app.module)) return [];
  const usual = app.name === "app" || app.name === "celery";
  const above = path === "" || path === "src" ? "" : `${path.replaceAll("/", ".")}.`;
  const module = app.module.startsWith(above) ? app.module.slice(above.length) : app.module;
  const start = `celery -A ${usual ? module.replace(/\.celery$/, "") : `${module}:${app.name}`}`;
  const why = `${app.file}:${app.line} is Celery`;
  const stored = clues.names?.has("django-celery-beat") === true;
  const scheduled = Object.keys(modules.scan.modules).find((file) =>
    /\bbeat_schedule\b|\bCELERY_?BEAT_SCHEDULE\b|\badd_periodic_task\(/.test(files.read(file) ?? ""),
  );
  if (!stored && scheduled === undefined) return [[`${start} worker --loglevel INFO`, why]];
  const scheduler = stored ? " --scheduler django_celery_beat.schedulers:DatabaseScheduler" : "";
  return [
    [`${start} worker --loglevel INFO`, why],
    [
      `${start} beat --loglevel INFO${scheduler}`,
      scheduled === undefined ? "django-celery-beat" : `a schedule in ${scheduled}`,
    ],
  ];
}

/** RQ's queues, by the names that the code gives them. */
function rq({ modules, files, clues }: Sources, others: Needed[]): Needed[] {
  if (clues.names?.has("rq") !== true || others.some(([line]) => line.includes("rqworker"))) return [];
  const queues = Object.entries(modules.scan.modules).flatMap(([file, { imports }]) =>
    Object.values(imports).includes("rq.Queue")
      ? [...(files.read(file) ?? "").matchAll(/\bQueue\(\s*(?:name=)?["']([\w.-]+)["']/g)].map(([, name = ""]) => name)
      : [],
  );
  return queues.length === 0 ? [] : [[`rq worker ${[...new Set(queues)].join(" ")}`, "the queues in the code"]];
}
