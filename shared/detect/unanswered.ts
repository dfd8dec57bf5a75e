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
  const [needed] = requiredFrameworks(clues.names ?? new Set());
  const unread = modules.scan.skipped
    .filter(([path, reason]) => reason.startsWith("SyntaxError") && web.test(files.read(path) ?? ""))
    .slice(0, most)
    .map(([path, reason]) => at(path, Number(/line (\d+)/.exec(reason)?.[1] ?? 1)));
  const broken = unread.length === 0 ? [] : [`Python 3 cannot read ${unread.join(", ")}: is it Python 2?`];
  if (needed === undefined) return broken;
  const what = `It needs ${needed.name} (${clues.where}), but none of its Python files makes an application of it that a server could start.`;
  return [what, ...broken];
}

const web =
  /^[ \t]*(?:import|from)[ \t]+(?:tornado|flask|django|bottle|cherrypy|web|webapp2|pyramid|falcon|aiohttp|fastapi|starlette)\b/m;
