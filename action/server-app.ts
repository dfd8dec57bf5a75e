import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../shared/config.ts";
import { CutoverError } from "../shared/errors.ts";
import type { PackFile } from "./project.ts";

/**
 * Looks for what `server.app` names, before anything is built or sent. A module that comes from the requirements cannot
 * be looked at here, so only a package of the project, or a project without requirements, can be found wanting.
 * @throws CutoverError server_app_not_found
 */
export function checkServerApp(config: Config, directory: string): void {
  const { app } = config.server;
  if (app === undefined) return;
  const [module = "", attribute = ""] = app.replace(/\(.*$/, "").split(":");
  const parts = module.split(".");
  const candidates = [`${parts.join("/")}.py`, `${parts.join("/")}/__init__.py`];
  const found = candidates.find((candidate) => existsSync(join(directory, candidate)));
  if (found !== undefined) {
    checkAttribute(app, found, attribute.split(".", 1)[0] ?? "", readFileSync(join(directory, found), "utf8"));
    return;
  }
  if (!ownsPackage(directory, parts[0] ?? "") && mayComeFromElsewhere(config, directory)) return;
  throw new CutoverError(
    "server_app_not_found",
    `server.app is ${app}, but the project holds neither ${candidates.join(" nor ")}.`,
    {
      unchanged: "Nothing was sent.",
      fix: "Correct server.app in cutover.yml: the module's path from working-directory, with dots, then : and the name of the application in it.",
    },
  );
}

function checkAttribute(app: string, file: string, name: string, text: string): void {
  // A star import or a module's __getattr__ can supply any name.
  if (new RegExp(`(?<!\\w)${name}(?!\\w)|import \\*|def __getattr__`).test(text)) return;
  throw new CutoverError("server_app_not_found", `server.app is ${app}, but ${file} has no \`${name}\`.`, {
    unchanged: "Nothing was sent.",
    fix: `Correct the name after the colon in cutover.yml, or define \`${name}\` in ${file}.`,
  });
}

function ownsPackage(directory: string, name: string): boolean {
  return existsSync(join(directory, name)) || existsSync(join(directory, `${name}.py`));
}

function mayComeFromElsewhere({ python }: Config, directory: string): boolean {
  return python.system_site_packages || (python.wheels !== "none" && existsSync(join(directory, python.requirements)));
}

/**
 * The same question once the files to pack are known: `exclude` may have taken the module away.
 * @throws CutoverError server_app_not_found
 */
export function checkServerAppPacked(config: Config, directory: string, files: PackFile[]): void {
  const module = config.server.app?.split(":", 1)[0];
  if (module === undefined) return;
  const stem = module.replaceAll(".", "/");
  const candidates = [`${stem}.py`, `${stem}/__init__.py`].filter((path) => existsSync(join(directory, path)));
  if (candidates.length === 0) return;
  const paths = new Set(files.map(({ path }) => path));
  if (candidates.some((path) => paths.has(`app/${path}`))) return;
  throw new CutoverError("server_app_not_found", `${candidates[0]}, which server.app names, is not packed.`, {
    unchanged: "Nothing was sent.",
    fix: "Take it out of `exclude` in cutover.yml; names such as venv and .venv are left out unless taken back with `!venv`.",
  });
}
