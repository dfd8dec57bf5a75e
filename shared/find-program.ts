import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";

/**
 * The file of a program, found as a shell finds it.
 * @param path the value of PATH
 * @param cwd what relative places start from; without it they do not count
 * @returns undefined if no such file may be executed
 */
export function findProgram(name: string, path: string, cwd?: string): string | undefined {
  const places = name.includes("/")
    ? [name]
    : path.split(":").map((folder) => `${folder === "" ? "." : folder}/${name}`);
  return places
    .filter((place) => place.startsWith("/") || cwd !== undefined)
    .map((place) => resolve(cwd ?? "/", place))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
