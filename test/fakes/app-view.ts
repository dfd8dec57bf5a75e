import type { AppView } from "../../shared/protocol.ts";

export const fakeTimes = {
  made: "2026-11-21T10:30:00.000Z",
  live: "2026-11-21T10:31:00.000Z",
  later: "2026-11-21T10:40:00.000Z",
} as const;

/** An app as the agent shows it: one live release with two instances, one good release before it. */
export function fakeAppView(app = "shop"): AppView {
  const live = "20261121T103000Z-3f2c1ab";
  const before = "20261120T090000Z-9d8e7f6";
  const release = { digest: `sha256:${"a".repeat(64)}`, repository: "acme/shop" };
  return {
    app,
    live,
    staged: null,
    weight: 0,
    staged_by: null,
    warm: null,
    previous: before,
    urls: ["http://shop.example.com/"],
    instances: [
      { name: "web-0", run: live, state: "RUNNING", pid: 4001, uptime: 61_000, connections: 2, slots: 30 },
      { name: "web-1", run: live, state: "RUNNING", pid: 4002, uptime: 61_000, connections: 0, slots: 30 },
    ],
    releases: [
      {
        ...release,
        id: live,
        state: "live",
        commit: "3f2c1ab".padEnd(40, "0"),
        created: fakeTimes.made,
        live_at: fakeTimes.live,
      },
      {
        ...release,
        id: before,
        state: "good",
        commit: "9d8e7f6".padEnd(40, "0"),
        created: "2026-11-20T09:00:00.000Z",
        live_at: "2026-11-20T09:01:00.000Z",
      },
    ],
    deployment: null,
  };
}
