/** What a line of a program's output means, and what to do about it. */
export interface Hint {
  id: string;
  /** Matched against the cause's line and, if `anywhere` is set, against each line of the output. */
  pattern: RegExp;
  /**
   * The line that says it is not the last one: looked for in the whole output, before that line is looked
   * at, always, only if no line looks like an error, or only if there is no other line.
   */
  anywhere?: "first" | "always" | "if nothing else" | "if silent";
  /** Only if another line of the output matches this; or if none matches that. */
  with?: RegExp;
  without?: RegExp;
  /** About a value: if the line that failed reads a variable of the environment, that variable is named instead. */
  value?: true;
  /** Says it in better words than the line. `{1}` is the pattern's first group that matched, `{2}` the next. */
  cause?: string;
  /**
   * The next thing to do. `{1}` is the pattern's first group, `{package}` what has that module, `{variable}` it in
   * capitals, `{place}` the project's file and line, `{app}` the app's name.
   */
  fix: string;
  /** The same on the machine that runs the workflow. */
  runnerFix?: string;
  /** A line that a real program printed. */
  example: string;
}
