import { at, type Findings, none } from "../findings.ts";
import { findingsOf, type Sources } from "../resolve.ts";
import { uwsgiFiles, uwsgiSettings } from "../server-settings.ts";
import { isTable, tomlValue, valueAt } from "../tables.ts";

/** uwsgi.ini and uwsgi.yaml. */
export function fromUwsgi(sources: Sources): Findings[] {
  return uwsgiFiles(sources.files)
    .slice(0, 4)
    .flatMap((file) => uwsgiSettings(file, sources) ?? [])
    .slice(0, 1)
    .map((server) => ({ ...none, servers: [server] }));
}

/** `wsgi_app` of gunicorn.conf.py. */
export function fromGunicornConf(sources: Sources): Findings[] {
  const file = "gunicorn.conf.py";
  return /^wsgi_app\s*=/m.test(sources.files.read(file) ?? "")
    ? [findingsOf({ line: "gunicorn", why: file }, sources)]
    : [];
}

/** `[project.scripts]`, `[tool.poetry.scripts]`, and the tasks of poe, taskipy, PDM, Hatch and FastAPI that start a server. */
export function fromPyproject(sources: Sources): Findings[] {
  const text = sources.files.read("pyproject.toml");
  if (text === undefined) return [];
  const value = tomlValue(text);
  const get = (...path: string[]) => valueAt(value, ...path);
  const entrypoint = get("tool", "fastapi", "entrypoint");
  const lines = [
    ...(typeof entrypoint === "string" ? [`uvicorn ${entrypoint}`] : []),
    ...[
      get("tool", "poe", "tasks"),
      get("tool", "taskipy", "tasks"),
      get("tool", "pdm", "scripts"),
      get("tool", "hatch", "envs", "default", "scripts"),
      get("tool", "rye", "scripts"),
    ].flatMap(commandsIn),
  ];
  const line = (command: string) => {
    const index = text.indexOf(command.replace(/^uvicorn /, ""));
    return index < 0 ? undefined : text.slice(0, index).split("\n").length;
  };
  return lines
    .map((command) => findingsOf({ line: command, why: at("pyproject.toml", line(command)) }, sources))
    .map(({ servers }) => ({ ...none, servers }));
}

/** A task is a text, or a table with `cmd` or `shell`. */
function commandsIn(tasks: unknown): string[] {
  if (!isTable(tasks)) return [];
  const weight = (name: string) => (/prod|serve|start/.test(name) ? 0 : 1);
  return Object.entries(tasks)
    .toSorted(([a], [b]) => weight(a) - weight(b))
    .flatMap(([, task]) => {
      const text = isTable(task) ? (task.cmd ?? task.shell) : task;
      return typeof text === "string" ? [text] : [];
    });
}

const servers =
  /^[\s$>`#-]*((?:[A-Z_]+=\S+\s+)*(?:(?:poetry|uv|pipenv|pdm) run )?(?:python[\d.]* -m )?(?:gunicorn|uvicorn|hypercorn|daphne|granian|waitress-serve|uwsgi|flask|fastapi)\s[^`#]*[\w)'"])/;
const largest = 300_000;

/** A command line of the README that starts a server. The last of all, and only if the project has what it names: a path is its writer's. */
export function fromReadme(sources: Sources): Findings[] {
  const file = ["README.md", "README.rst", "README.txt", "README", "readme.md", "Readme.md"].find(
    (name) => sources.files.read(name) !== undefined,
  );
  const text = file === undefined ? undefined : sources.files.read(file);
  if (file === undefined || text === undefined || text.length > largest) return [];
  const found = text.split(/\r?\n/).flatMap((line, index) => {
    const [, command] = servers.exec(line) ?? [];
    // `flask run` without a name says no more than the files do.
    if (command === undefined || /^(?:flask run|fastapi (?:dev|run))\s*(?:--.*)?$/.test(command)) return [];
    return [findingsOf({ line: command, why: at(file, index + 1) }, sources)];
  });
  return found
    .map((each) => ({ ...each, servers: each.servers.filter(({ app = "" }) => !/["']\//.test(app)) }))
    .filter(({ servers }) => servers.length > 0)
    .slice(0, 1)
    .map(({ servers }) => ({ ...none, servers }));
}
