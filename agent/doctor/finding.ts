/** One thing that is wrong with a host, for the person who runs the host. */
export interface Finding {
  /** error: a deploy or a site fails because of it. warning: one may fail, or somebody should know. */
  severity: "error" | "warning";
  /** The name of the check that found it, which is the name of its file. */
  check: string;
  what: string;
  /** Why it matters. */
  why: string;
  fix: string;
  /** What `cutover doctor --fix` can do about it without a risk to others. Its `fix` says the same. */
  mend?: Mend;
}

/** Files that are written, then commands that are run, as root. */
export interface Mend {
  /** For the question whether to do it. */
  what: string;
  writes: { path: string; text: string }[];
  commands: string[][];
}

type Parts = Omit<Finding, "check" | "severity">;

export const error = (check: string, parts: Parts): Finding => ({ severity: "error", check, ...parts });
export const warning = (check: string, parts: Parts): Finding => ({ severity: "warning", check, ...parts });

/** Of a directory that is missing. */
export function mkdir(path: string): Pick<Finding, "mend"> {
  return { mend: { what: `make the directory ${path}`, writes: [], commands: [["mkdir", "-p", path]] } };
}
