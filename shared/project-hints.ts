import { argv } from "./command.ts";
import { type Config, siteOf } from "./config.ts";
import { settingsName } from "./detect/configurations.ts";
import { survey } from "./detect/detect.ts";
import type { Django } from "./detect/django.ts";
import { type DjangoSettings, folderUrlOf } from "./detect/django-settings.ts";
import { oldPythonTold, unreadTold } from "./detect/unanswered.ts";
import type { ProjectFiles } from "./project-clues.ts";
import { gunicornRefused, gunicornReplaced } from "./server-file-rules.ts";
import type { YamlPath } from "./yaml-faults.ts";

export interface ProjectHint {
  severity: "error" | "warning";
  path: YamlPath;
  message: string;
}

const warning = (path: YamlPath, message: string): ProjectHint => ({ severity: "warning", path, message });

/** What a project's own files say against its configuration: Django's settings, gunicorn.conf.py, WebSockets. */
export function projectHints(config: Config, project: ProjectFiles): ProjectHint[] {
  const { django, websockets } = survey(project);
  return [
    ...oldPythonHints(project),
    ...djangoHints(config, project, django),
    ...gunicornHints(config, project),
    ...websocketHints(config, websockets),
    ...beatHints(config),
  ];
}

function oldPythonHints(project: ProjectFiles): ProjectHint[] {
  const told = oldPythonTold(project);
  return told === undefined ? [] : [warning(["app"], told)];
}

/**
 * What Python cannot read of the application and of Django's settings. For `check` alone: the Action runs Python, which says
 * it better.
 */
export function unreadHints({ server, env }: Config, project: ProjectFiles): ProjectHint[] {
  const app = server.app === undefined ? undefined : unreadTold(server.app, env.PYTHONPATH, project);
  const { django } = survey(project);
  const module = env.DJANGO_SETTINGS_MODULE ?? django?.settings?.module;
  const settings = module === undefined ? undefined : unreadTold(module, django?.path ?? "", project);
  return [
    ...(app === undefined ? [] : [warning(["server", "app"], app)]),
    ...(settings === undefined
      ? []
      : [warning(["app"], `${settings} What these settings say of static files and databases is not known.`)]),
  ];
}

function djangoHints(config: Config, project: ProjectFiles, django: Django | undefined): ProjectHint[] {
  const given = config.env.DJANGO_SETTINGS_MODULE;
  const module = given ?? django?.settings?.module;
  if (module === undefined) return [];
  const path = django?.path ?? "";
  if (isMissing(module, path, project)) {
    const file = `${path === "" ? "" : `${path}/`}${module.replaceAll(".", "/")}.py`;
    const where: YamlPath = given === undefined ? ["server", "app"] : ["env", "DJANGO_SETTINGS_MODULE"];
    const said = given === undefined ? `${django?.settings?.from} names ${module}` : `is ${module}`;
    const message = `${said}, and the project has no ${file}. Is it left out by .gitignore?`;
    return [{ severity: "error", path: where, message }];
  }
  const configuration = config.env.DJANGO_CONFIGURATION ?? django?.settings?.configuration?.name;
  if (unreadTold(module, path, project) !== undefined) return [];
  const settings = project.djangoSettings?.(path, settingsName(module, configuration));
  if (settings === undefined) return [];
  return [
    ...staticHints(config, settings, module),
    ...databaseHints(config, settings),
    ...logHints(config, settings),
    ...debugHints(settings),
  ];
}

/** A module of the requirements cannot be looked at: only one whose package is the project's own can be missing. */
function isMissing(module: string, path: string, project: ProjectFiles): boolean {
  const bases = ["", "src/", ...(path === "" ? [] : [`${path}/`])];
  const isThere = (name: string) =>
    bases.some((base) => project.exists(`${base}${name}.py`) || project.exists(`${base}${name}/__init__.py`));
  return isThere(module.split(".")[0] ?? "") && !isThere(module.replaceAll(".", "/"));
}

function staticHints(
  config: Config,
  { staticfiles, staticRoot, staticUrl, remote, where, inside, foreign }: DjangoSettings,
  module: string,
) {
  if (!staticfiles || remote !== undefined) return [];
  const url = staticUrl === undefined ? undefined : folderUrlOf(staticUrl);
  const root = typeof staticRoot === "string" ? inside(staticRoot) : undefined;
  const served = config.static.findIndex(({ from }) => from.replace(/\/$/, "") === root);
  if (served >= 0 && url !== undefined && config.static[served]?.url !== url) {
    return [
      warning(
        ["static", served, "url"],
        `is ${config.static[served]?.url}, and STATIC_URL is ${url} (${where.STATIC_URL})`,
      ),
    ];
  }
  if (config.static.some(({ collect }) => collect !== undefined) || config.static.some((each) => each.url === url))
    return [];
  const byHand = "write below `static` what you collect, with `url`, `collect` and `from`";
  if (staticRoot === undefined && foreign.length > 0) {
    const message = `${module} takes settings from ${foreign.join(", ")}, which is not read here. If STATIC_ROOT is there, no static files are packed and pages have no style: ${byHand}`;
    return [warning(["static"], message)];
  }
  if (staticRoot === undefined) {
    const fix = 'write `STATIC_ROOT = BASE_DIR / "staticfiles"` and run `cutover init` again';
    return [
      warning(
        ["static"],
        `${module} has no STATIC_ROOT, so no static files are collected and pages have no style: ${fix}`,
      ),
    ];
  }
  if (typeof staticRoot !== "string") {
    const message = `STATIC_ROOT (${where.STATIC_ROOT}) is computed, and its folder cannot be told from the text, so no static files are packed: ${byHand}`;
    return [warning(["static"], message)];
  }
  if (root !== undefined) return [];
  const message = `STATIC_ROOT is ${staticRoot} (${where.STATIC_ROOT}), outside of the project, so no static files are packed: write \`STATIC_ROOT = BASE_DIR / "staticfiles"\``;
  return [warning(["static"], message)];
}

/** Which of these files lie in the release, which is read-only and new at each deploy. */
function unlinked(config: Config, files: string[], inside: DjangoSettings["inside"]): string[] {
  const linked = config.shared.flatMap((each) => ("path" in each && typeof each.path === "string" ? [each.path] : []));
  return files
    .map(inside)
    .filter((file) => file !== undefined)
    .filter((file) => !linked.some((path) => file === path || file.startsWith(`${path}/`)));
}

function logHints(config: Config, { logs, inside, where }: DjangoSettings): ProjectHint[] {
  return unlinked(config, logs, inside).map((file) => {
    const folder = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : file;
    const message = `${file}, the log file of ${where.LOGGING}, lies in the release, which is read-only and new at each deploy: log to the console, which \`cutover logs\` shows, or write \`shared: [{ path: ${folder} }]\``;
    return warning(["app"], message);
  });
}

/** Every visitor who meets an error would see the settings. */
function debugHints({ debug, where }: DjangoSettings): ProjectHint[] {
  if (!debug) return [];
  const message = `DEBUG is True (${where.DEBUG}), so visitors see the source and the settings at each error: write \`DEBUG = os.environ.get("DEBUG") == "1"\``;
  return [warning(["app"], message)];
}

function databaseHints(config: Config, { sqlite, inside, where }: DjangoSettings): ProjectHint[] {
  return unlinked(config, sqlite, inside).map((file) =>
    warning(
      ["app"],
      `${file}, the SQLite database of ${where.DATABASES}, lies in the release, which is read-only and new at each deploy: write \`shared: [{ path: ${file} }]\`, or let its NAME be os.path.join(os.environ.get("CUTOVER_SHARED", BASE_DIR), "${file.slice(file.lastIndexOf("/") + 1)}")`,
    ),
  );
}

/** What gunicorn.conf.py says and cutover decides. The instance's log has the same, with what is computed. */
function gunicornHints({ server }: Config, project: ProjectFiles): ProjectHint[] {
  if (server.kind !== "gunicorn") return [];
  const file = server.config_file ?? "gunicorn.conf.py";
  const reasons = {
    ...gunicornRefused,
    ...(server.workers !== undefined && { workers: gunicornReplaced.workers }),
    ...(server.threads !== undefined && { threads: gunicornReplaced.threads }),
  };
  return (project.read(file) ?? "").split(/\r?\n/).flatMap((text, index) => {
    const [, name = "", value = ""] = /^(\w+)\s*=\s*([^#]*)/.exec(text) ?? [];
    const reason = Object.hasOwn(reasons, name) ? reasons[name as keyof typeof reasons] : undefined;
    if (reason === undefined || /^(?:None|False)\s*$/.test(value)) return [];
    return [warning(["server", "kind"], `${file}:${index + 1}: ${name} = ${value.trim()} does not count: ${reason}`)];
  });
}

function websocketHints(config: Config, websockets: string | undefined): ProjectHint[] {
  if (websockets === undefined || config.site === "none" || siteOf(config).upgrade) return [];
  return [warning(["site"], `${websockets} has WebSockets, and without \`upgrade: true\` nginx does not pass them on`)];
}

/** Celery's beat writes its schedule where it runs. */
function beatHints({ processes, shared }: Config): ProjectHint[] {
  if (shared.some(({ path }) => path?.includes("celerybeat-schedule"))) return [];
  return Object.entries(processes).flatMap(([name, { command }]) => {
    const words = argv(command);
    const beats = words[0] === "celery" || words.includes("celery") ? words.includes("beat") : false;
    if (!beats || words.some((word) => /^(?:-s|-S|--schedule|--scheduler)(?:=|$)/.test(word))) return [];
    const fix = "add `--schedule {shared}/celerybeat-schedule`, unless the app's settings have a place outside of it";
    return [
      warning(["processes", name, "command"], `beat keeps its schedule where it runs, which is read-only: ${fix}`),
    ];
  });
}
