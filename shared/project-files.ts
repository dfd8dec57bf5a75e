/** The files of a project that show what serves it. Paths are relative, with `/`. */
export interface ProjectFiles {
  exists(path: string): boolean;
  /** undefined if there is no such file */
  read(path: string): string | undefined;
  /** Names of the folders at the top of the project, in their order. */
  folders(): string[];
}
