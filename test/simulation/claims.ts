import { canarySlots } from "../../agent/deploy/steps/route.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { DeploymentView } from "../../shared/protocol.ts";
import type { Host } from "./host.ts";
import type { Snapshot, Watcher } from "./watcher.ts";

interface Claim {
  app: string;
  view: DeploymentView;
  /** When the deployment had its turn. */
  begun: Snapshot;
  /** It has begun to start a run of another release than the one that was staged. */
  placeMade: boolean;
}

/** I5: a deployment that succeeded has the slots that it was given. */
export function checkSuccess(watcher: Watcher, app: string, view: DeploymentView): void {
  const slots = watcher.slots(app);
  const own = slots.filter((address) => releaseOfRun(watcher.runAt(app, address)) === view.release).length;
  const workers = slots.length / 60;
  const weight = view.weight ?? 100;
  const wanted = weight === 100 ? 60 : canarySlots(weight);
  if (workers > 0 && own !== wanted * workers) {
    watcher.broken(
      "I5",
      `${view.kind} succeeded at weight ${weight}, and ${own / workers} of 60 slots lead to ${view.release}`,
    );
  }
}

/** I4, and I5 for what was said of a deployment that ended without having cut over. */
export function checkUnchanged(host: Host, watcher: Watcher, { app, view, begun, placeMade }: Claim): void {
  const { code, unchanged = "" } = view.failure ?? { code: "internal" };
  const now = watcher.facts(app);
  const { staged } = begun.facts;
  const cut = view.phases.some(({ state }) => state === "cut_over");
  if (cut) return;
  const gone = staged !== null && now.staged?.run !== staged.run;
  const concerned = placeMade || concerning.has(code) || view.id === staged?.deployment;
  if (gone && !concerned) watcher.broken("I4", `${view.kind} failed (${code}), and what was staged is gone`);
  if (unchanged.includes("Nothing was changed") && (gone || now.live !== begun.facts.live)) {
    watcher.broken("I5", `"Nothing was changed" was said (${code}), and live or staged is another`);
  }
  if (now.live !== begun.facts.live) {
    watcher.broken(
      "I5",
      `${view.kind} failed before its cutover (${code}), and ${now.live} is live instead of ${begun.facts.live}`,
    );
  }
  const { current, previous } = host.disk(app).links;
  if (begun.facts.live !== null && current !== begun.links.current) {
    watcher.broken(
      "I5",
      `${view.kind} failed before its cutover (${code}), and current is ${current}, not ${begun.links.current}`,
    );
  }
  if (begun.facts.live !== null && previous !== begun.links.previous) {
    watcher.broken(
      "I5",
      `${view.kind} failed before its cutover (${code}), and previous is ${previous}, not ${begun.links.previous}`,
    );
  }
}

/** A staged release may go with a deployment that fails so. */
const concerning = new Set([
  ...[
    "health_failed",
    "health_timeout",
    "instance_died",
    "aborted",
    "agent_stopping",
    "canary_failed",
    "visitors_failed",
  ],
]);
