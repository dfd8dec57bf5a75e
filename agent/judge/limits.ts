import type { Config } from "../../shared/config.ts";

/** What counts as worse, and how sure the judge must be. */
export interface JudgeLimits {
  /** So much more of the requests must fail, as a share: 0.01 is one of a hundred. */
  errors: number;
  /** So many times as long must they take. */
  latency: number;
  /** How probable it may be that a release which is no worse is taken for one, over all looks of a deployment. */
  alpha: number;
  /** Requests that each side needs. */
  requests: number;
}

/** The limits of cutover.yml; undefined if nothing is to be judged. */
export function limitsOf({ judge = {} }: Pick<Config, "judge">): JudgeLimits | undefined {
  if (judge === "off") return undefined;
  const { errors = "1%", latency = "2x", confidence = "99%", requests = 50 } = judge;
  return {
    errors: Number.parseFloat(errors) / 100,
    latency: Number.parseFloat(latency),
    alpha: 1 - Number.parseFloat(confidence) / 100,
    requests,
  };
}
