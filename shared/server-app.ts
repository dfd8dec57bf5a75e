import type { Config } from "./config.ts";
import { parseSource } from "./dependencies/form.ts";
import type { ProjectFiles } from "./project-files.ts";

/** What `server.app` names and the project does not have: the module, or the application in it. */
export type MissingApp =
  | { what: "module"; app: string; candidates: [string, string] }
  | { what: "attribute"; app: string; file: string; name: string };

/**
 * What of `server.app` the project does not have; undefined if it has it, or may have it. A module that comes from the
 * requirements cannot be looked at, so only a package of the project, or a project without requirements, can lack
 * something.
 */
export function missingServerApp({ server, python, env }: Config, project: ProjectFiles): MissingApp | undefined {
  const { app } = server;
  if (app === undefined) return undefined;
  const [module = "", attribute = ""] = app.split("(", 1).join("").split(":");
  const stem = module.replaceAll(".", "/");
  const candidates: [string, string] = [`${stem}.py`, `${stem}/__init__.py`];
  // Folders that the configuration puts on Python's path.
  const folders = ["", ...(env.PYTHONPATH ?? "").split(":").filter((path) => path !== "" && !path.startsWith("/"))];
  // As Python has it, a package comes before a module of its name.
  const file = folders
    .flatMap((path) =>
      candidates.toReversed().map((each) => (path === "" ? each : `${path.replace(/\/+$/, "")}/${each}`)),
    )
    .find((path) => project.exists(path));
  if (file === undefined) {
    const top = module.split(".", 1)[0] ?? "";
    const own = project.folders().includes(top) || project.exists(`${top}.py`);
    const installs = python.wheels !== "none" && project.exists(parseSource(python.requirements).file);
    const elsewhere = python.system_site_packages || installs;
    return !own && elsewhere ? undefined : { what: "module", app, candidates };
  }
  const name = attribute.split(".", 1)[0] ?? "";
  // A star import or a module's __getattr__ can supply any name.
  const there = new RegExp(`(?<!\\w)${name}(?!\\w)|import \\*|def __getattr__`).test(project.read(file) ?? "");
  return there ? undefined : { what: "attribute", app, file, name };
}
