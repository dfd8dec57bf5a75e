import type { ProjectFiles } from "../project-clues.ts";
import { oldPython } from "../python-version.ts";
import { at } from "./findings.ts";
import { requiredFrameworks } from "./frameworks.ts";
import type { Sources } from "./looked-at.ts";
import type { ServerClues } from "./server-choice.ts";

/** What was looked for, in a person's words. */
export function lookedFor({ names, where }: ServerClues): string[] {
  return [
    "manage.py with the WSGI or ASGI application of its settings",
    "a server in Procfile, Dockerfile, compose files, files of supervisor and systemd, uwsgi.ini, gunicorn.conf.py, pyproject.toml, Makefile, start scripts and README",
    "WSGI and ASGI applications, aiohttp and Tornado in Python files, here and in folders below; programs of the project's own that take a port",
    names === undefined ? `${where}, which is not there` : `a server in ${where}`,
  ];
}

const most = 3;

/** Why there is no answer, as far as the project shows it: a framework that no file uses, and files that Python cannot read. */
export function unanswered({ clues, files, modules }: Sources): string[] {
  // What was not read says nothing of what is not there.
  if (!modules.scan.complete && Object.keys(modules.scan.modules).length === 0) return [unheard];
  const [needed] = requiredFrameworks(clues.names ?? new Set());
  const unread = modules.scan.skipped
    .filter(([path, reason]) => reason.startsWith("SyntaxError") && web.test(files.read(path) ?? ""))
    .slice(0, most)
    .map(([path, reason]) => at(path, Number(/line (\d+)/.exec(reason)?.[1] ?? 1)));
  const broken = unread.length === 0 ? [] : [`Python 3 cannot read ${unread.join(", ")}: is it Python 2?`];
  const old = oldPythonTold(files);
  if (old !== undefined) return [old, ...broken];
  if (needed === undefined) return broken;
  const what = `It needs ${needed.name} (${clues.where}), but none of its Python files makes an application of it that a server could start.`;
  return [what, ...broken];
}

const unheard =
  "python3 of this machine read none of its Python files: it is missing, older than 3.8, or took longer than 30 s. Run it again.";

/** What is said of a project that names Python 2; undefined if it does not. */
export function oldPythonTold(files: Pick<ProjectFiles, "read">): string | undefined {
  const old = oldPython(files);
  return old && `${old.file} names Python ${old.version}, and hosts have Python 3 alone: port the project first.`;
}

/** What is said of an application whose file Python cannot read; undefined if it can. */
export function unreadTold(app: string, folder: string | undefined, files: ProjectFiles): string | undefined {
  const place = (app.split(":", 1)[0] ?? "").replaceAll(".", "/");
  const paths = ["", "src/", ...(folder === undefined || folder === "" ? [] : [`${folder}/`])].flatMap((base) => [
    `${base}${place}.py`,
    `${base}${place}/__init__.py`,
  ]);
  const { skipped = [] } = files.python?.() ?? {};
  const [path, reason = ""] =
    skipped.find(([file, why]) => paths.includes(file) && why.startsWith("SyntaxError")) ?? [];
  if (path === undefined) return undefined;
  const where = at(path, Number(/line (\d+)/.exec(reason)?.[1] ?? 1));
  return `The Python of this machine cannot read ${where} (${plainReason(reason)}): is it written for Python 2, or for a newer one?`;
}

const plainReason = (reason: string) => reason.replace(/^SyntaxError: /, "").replace(/ ?\(<unknown>.*$/s, "");

const web =
  /^[ \t]*(?:import|from)[ \t]+(?:tornado|flask|django|bottle|cherrypy|web|webapp2|pyramid|falcon|aiohttp|fastapi|starlette)\b/m;
