import { expect, test } from "vitest";
import { renderStatus } from "../../../../agent/cli/terminal/status.ts";
import type { Style } from "../../../../agent/cli/terminal/terminal.ts";
import type { AppView } from "../../../../shared/protocol.ts";
import { fakeAppView, fakeTimes } from "../../../fakes/app-view.ts";

const style: Style = (_, text) => text;
const options = { style, now: Date.parse(fakeTimes.later) };

function failed(outcome: "failed" | "succeeded"): AppView {
  const deployment: NonNullable<AppView["deployment"]> = {
    ...({ id: "3vV2yq0bS0qk8Jt5n1xWZA", app: "shop", kind: "deploy", state: "started" } as const),
    ...{ outcome, by: { subject: "ci" }, started: fakeTimes.later, phases: [] },
    failure: { code: "instance_died", detail: "web-0 exited during startup: KeyError: 'A'.", fix: "Set it." },
  };
  return { ...fakeAppView(), deployment };
}

test("status says why the last deployment failed, and what to do", () => {
  expect(renderStatus(failed("failed"), options)).toContain(
    "\n  why       instance_died: web-0 exited during startup: KeyError: 'A'.\n            Set it.\n",
  );
  expect(renderStatus(failed("succeeded"), options)).not.toContain("why");
});

test("the reason is broken between words where the terminal ends", () => {
  const lines = renderStatus(failed("failed"), { ...options, width: 50 }).split("\n");
  const why = lines.slice(lines.findIndex((line) => line.startsWith("  why")));
  expect(why.slice(0, 3)).toEqual([
    "  why       instance_died: web-0 exited during",
    "            startup: KeyError: 'A'.",
    "            Set it.",
  ]);
});

test("restarts stand next to the instances, if there were any, and since when if the agent started later", () => {
  const view = fakeAppView();
  expect(renderStatus(view, options)).not.toContain("restarts");
  const instances = view.instances.map((one, index) => (index === 0 ? { ...one, restarts: 12 } : one));
  const shown = renderStatus({ ...view, instances }, options);
  expect(shown).toMatch(/^ {2}instance .* pid {2}restarts$/m);
  expect(shown).toMatch(/^ {2}web-0 .* \d+ {8}12$/m);
  expect(shown).not.toContain("since the agent started");
  const since = new Date(options.now - 3_600_000).toISOString();
  expect(renderStatus({ ...view, instances, restarts_since: since }, options)).toContain(
    "\n  restarts since the agent started, 1h ago\n",
  );
});

test("a live release that failed its watch says so", () => {
  const view = fakeAppView();
  const releases = view.releases.map((one) => (one.state === "live" ? { ...one, unwell: true } : one));
  expect(renderStatus({ ...view, releases }, options)).toContain("live, unwell");
});
