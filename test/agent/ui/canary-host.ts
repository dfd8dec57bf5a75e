import { vi } from "vitest";
import type { RunRequests } from "../../../shared/requests-view.ts";
import { fakeAppView } from "../../fakes/app-view.ts";
import { PageHost } from "./visitor.ts";

export const live = "20261121T103000Z-3f2c1ab";
export const before = "20261120T090000Z-9d8e7f6";
export const canary = "20261121T110000Z-7654321";

/** A host whose app has a canary with a tenth of the traffic. */
export async function withCanary(): Promise<PageHost> {
  const page = await PageHost.start();
  const view = fakeAppView();
  const [web0, web1] = view.instances;
  const [release] = view.releases;
  if (web0 === undefined || web1 === undefined || release === undefined) throw new Error("the fake has them");
  const run = (role: RunRequests["role"], name: string, parts: Partial<RunRequests>): RunRequests => ({
    ...{ role, run: name, release: name, requests: 90, failed: 0, p50: 12, p95: 84, failing: [] },
    ...parts,
  });
  page.host.service.views.set("shop", {
    ...view,
    ...{ staged: canary, weight: 10, staged_by: "AAAAAAAAAAAAAAAAAAAAAA" },
    instances: [
      { ...web0, slots: 27 },
      { ...web1, slots: 27 },
      { ...web0, run: canary, slots: 6 },
    ],
    releases: [{ ...release, id: canary, state: "staged", commanded: true }, ...view.releases],
    requests: {
      seconds: 10,
      runs: [
        run("live", live, {}),
        run("canary", canary, { requests: 10, failed: 2, p95: 300, failing: [{ path: "/checkout", count: 2 }] }),
        { role: "none", run: null, release: null, requests: 4, failed: 0, failing: [] },
      ],
    },
  });
  await page.enter();
  await vi.waitUntil(async () => (await page.ask("/apps/shop")).text.includes("/checkout"), { timeout: 30_000 });
  return page;
}
