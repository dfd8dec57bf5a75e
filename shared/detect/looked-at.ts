import type { ProjectFiles } from "../project-clues.ts";
import type { PythonModules } from "./python-modules.ts";
import type { Bind } from "./scripts.ts";
import type { ServerClues } from "./server-choice.ts";

/** What all sources look at. */
export interface Sources {
  files: ProjectFiles;
  modules: PythonModules;
  clues: ServerClues;
  bind: Bind;
}
