import type { DjangoSettings } from "./detect/django-settings.ts";
import type { PythonScan } from "./detect/python-scan.ts";
import type { Written } from "./detect/write-scan.ts";

/** The files of a project that show what serves it. Paths are relative, with `/`. */
export interface ProjectFiles {
  exists(path: string): boolean;
  /** undefined if there is no such file */
  read(path: string): string | undefined;
  /** Names of the folders at the top of the project, in their order. */
  folders(): string[];
  /** Paths of the files that may show what serves the project, those at the top first. Bounded in depth and number. */
  paths?(): string[];
  /** What Python's own parser finds in the project's Python files. */
  python?(): PythonScan;
  /** What the project's Python files write, such as SQLite files and logs. */
  writes?(): Written[];
  /**
   * What Django's settings say, read and not imported; undefined if they cannot be read.
   * @param folder that of manage.py
   */
  djangoSettings?(folder: string, module: string): DjangoSettings | undefined;
}
