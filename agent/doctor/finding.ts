/** What is wrong with a host, for the person who looks after it. */
export interface Finding {
  /** error: a deploy or the site fails by it. warning: it may, or somebody should know. */
  severity: "error" | "warning";
  /** The check that found it: the name of its file. */
  check: string;
  what: string;
  /** Why that matters. */
  why: string;
  fix: string;
}

type Parts = Omit<Finding, "check" | "severity">;

export const error = (check: string, parts: Parts): Finding => ({ severity: "error", check, ...parts });
export const warning = (check: string, parts: Parts): Finding => ({ severity: "warning", check, ...parts });
