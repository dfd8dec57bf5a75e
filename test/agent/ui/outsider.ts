import type { AppView, RequestsView } from "../../../shared/protocol.ts";
import { fakeAppView, fakeTimes } from "../../fakes/app-view.ts";

/** In every text that nobody may read, and every number. */
export const secret = "not-for-outsiders";
export const secretNumber = 987_654_321;
export const live = "20261121T103000Z-3f2c1ab";
export const deployment = "AAAAAAAAAAAAAAAAAAAAAA";

/** All that an outsider may read, by its place in what the agent says. Everything else becomes a secret, also what is new. */
const open = [
  /^app$/,
  /^live$/,
  /^instances\.\d\.(?:run|slots)$/,
  /^releases\.\d\.(?:id|state|created)$/,
  /^deployment\.(?:kind|release|state|outcome|started|weight)$/,
  /^deployment\.phases\.\d\.(?:state|took)$/,
  /^(?:requests\.)?seconds$/,
  /^(?:requests\.)?runs\.\d\.(?:role|run|release|requests|failed|p50|p95)$/,
];

export function withSecrets<T>(value: T, place = ""): T {
  if (open.some((pattern) => pattern.test(place))) return value;
  if (typeof value === "string") return `${secret} ${place}` as T;
  if (typeof value === "number") return secretNumber as T;
  if (typeof value !== "object" || value === null) return value;
  const inner = (key: string) => (place === "" ? key : `${place}.${key}`);
  const entries = Object.entries(value).map(([key, each]) => [key, withSecrets(each, inner(key))] as const);
  return (Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries)) as T;
}

export const seen: RequestsView = {
  ...{ seconds: 10, gap: "the disk was full" },
  runs: [
    {
      ...{ role: "live", run: live, release: live, requests: 900, failed: 9, p50: 12, p95: 84 },
      failing: [{ path: "/reset/8c1f", count: 9 }],
    },
  ],
};

/** An app of which everything is known, whose last deployment failed. */
export function fullView(app: string): AppView {
  const view = fakeAppView(app);
  const [release] = view.releases;
  if (release === undefined) throw new Error("the fake has one");
  const run = { workflow: "acme/shop/.github/workflows/deploy.yml", number: 7, attempt: 1 };
  return {
    ...view,
    ...{ staged: live, weight: 10, staged_by: deployment, warm: { run: live, until: fakeTimes.later } },
    ...{ held: "why", problem: "why", unbuilt: true, requests: seen },
    maintenance: { since: fakeTimes.made, allow: ["192.0.2.7"] },
    host: { machine: "x86_64", glibc: "2.36", pythons: ["3.11"] },
    instances: view.instances.map((one) => ({ ...one, pid: 4001 })),
    releases: [{ ...release, run, commanded: true, pinned: true }],
    deployment: {
      ...{
        id: deployment,
        app,
        kind: "deploy",
        release: live,
        state: "cut_over",
        outcome: "failed",
        started: fakeTimes.made,
      },
      by: {
        subject: "ci",
        repository: "acme/shop",
        run_url: "https://example.com/1",
        run,
        trust: "acme/shop",
        user: "anna",
      },
      ...{
        before: live,
        finished: fakeTimes.live,
        weight: 10,
        phases: [{ state: "verified", took: 40 }],
        cut: 1,
        drained: 2,
      },
      requests: { requests: 1, failed: 1, p95: 1, before: { requests: 1, failed: 0, p95: 1 } },
      failure: { code: "x", detail: "x", unchanged: "x", fix: "x", evidence: [{ source: "web-0", text: "Traceback" }] },
      canary: { weight: 10, verdict: "worse", said: "x" },
    },
  };
}
