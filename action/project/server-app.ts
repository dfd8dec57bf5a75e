import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { missingServerApp } from "../../shared/server-app.ts";
import { projectFiles } from "./project-files.ts";
import type { PackFile } from "./walk.ts";

/**
 * Looks for the application that `server.app` names, before anything is built or sent.
 * @throws CutoverError server_app_not_found
 */
export function checkServerApp(config: Config, directory: string): void {
  const missing = missingServerApp(config, projectFiles(directory));
  switch (missing?.what) {
    case undefined:
      return;
    case "module":
      throw new CutoverError(
        "server_app_not_found",
        `server.app is ${missing.app}, but the project has neither ${missing.candidates.join(" nor ")}.`,
        {
          unchanged: "Nothing was sent.",
          fix: /\.py:|\//.test(missing.app)
            ? `Write the module as Python imports it, without .py: \`app: ${asModule(missing.app)}\`.`
            : "Correct server.app in cutover.yml: the module's path from working-directory, with dots, then : and the name of the application in it.",
        },
      );
    case "attribute": {
      const { app, file, name } = missing;
      throw new CutoverError("server_app_not_found", `server.app is ${app}, but ${file} has no \`${name}\`.`, {
        unchanged: "Nothing was sent.",
        fix: `Correct the name after the colon in cutover.yml, or define \`${name}\` in ${file}.`,
      });
    }
  }
}

/** `shop/wsgi.py:application` as Python names it. */
function asModule(app: string): string {
  const [file = "", name = ""] = app.split(":", 2);
  return `${file.replace(/\.py$/, "").replaceAll("/", ".")}:${name}`;
}

/**
 * Asks again when the files to pack are known: `exclude` may have left the module out.
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
    fix: "Remove it from `exclude` in cutover.yml. Names such as venv and .venv are always left out, unless `exclude` has `!venv`.",
  });
}
