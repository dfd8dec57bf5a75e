import type { RequestsView, RunRequests } from "../../shared/requests-view.ts";
import { latencyQuantile, type Requests, type RunCounts } from "../contracts/requests.ts";
import type { AppState } from "./state.ts";

const order = ["live", "canary", "old", "none"] as const;

/**
 * What visitors of an app saw in the last seconds.
 * @returns undefined if nginx writes no lines for this app
 */
export async function viewRequests(
  requests: Requests,
  { app, live, staged }: Pick<AppState, "app" | "live" | "staged">,
  { seconds, now }: { seconds: number; now: number },
): Promise<RequestsView | undefined> {
  await requests.read(app);
  const { gap, absent, runs } = requests.counted(app, { from: now - seconds * 1000 });
  if (absent) return undefined;
  const roleOf = (run: string | null): RunRequests["role"] =>
    run === null ? "none" : run === live ? "live" : run === staged?.run ? "canary" : "old";
  const views = runs.map((counts) => viewRun(counts, roleOf(counts.run)));
  return {
    seconds,
    ...(gap !== undefined && { gap }),
    runs: views.toSorted((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || b.requests - a.requests),
  };
}

function viewRun({ run, release, failing, ...counts }: RunCounts, role: RunRequests["role"]): RunRequests {
  const [p50, p95] = [latencyQuantile(counts, 0.5), latencyQuantile(counts, 0.95)];
  return {
    ...{ role, run, release, requests: counts.requests, failed: counts.classes["5xx"] },
    ...(p50 !== undefined && { p50 }),
    ...(p95 !== undefined && { p95 }),
    failing,
  };
}
