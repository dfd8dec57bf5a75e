import fc from "fast-check";
import { type BundleSpec, faultsOfReleases } from "./bundle.ts";
import { type FaultKind, faultable, type SimEffect } from "./effects.ts";
import { appNames } from "./host.ts";

/** One thing that somebody does, or that happens. `pause`: how long until the next, in milliseconds. */
export type Operation = { pause: number } & (
  | {
      do: "deploy";
      app: string;
      bundle: BundleSpec;
      stage?: boolean;
      leaseMs?: number;
      waitMs: number;
      lostMs?: number;
    }
  | { do: "resend"; app: string }
  | { do: "activate"; app: string; which: "staged" | "earlier"; weight: number; waitMs: number }
  | { do: "rollback"; app: string; waitMs: number }
  | { do: "redeploy"; app: string; which: "live" | "earlier" | "staged"; waitMs: number }
  | { do: "abort"; app: string; which: "last" | "staged" }
  | { do: "ask"; app: string; times: number }
  | { do: "pin"; app: string; pinned: boolean }
  | { do: "repair"; app: string }
  | { do: "maintain"; app: string; allow: string[] | null }
  | { do: "remove"; app: string }
  | { do: "refused"; app: string; times: number }
  | { do: "settings"; app: string; what: "usual" | "no ports" | "other domain" | "other address" | "gone" }
  | { do: "fault"; effect: SimEffect; kind: FaultKind; app?: string; after: number; times: number }
  | { do: "disk full"; ms: number }
  | { do: "helper away"; ms: number }
  | { do: "foreign site"; ms: number }
  | { do: "foreign program"; ms: number }
  | { do: "foreign reload"; complains?: boolean }
  | { do: "nginx dies"; ms: number; pid: "free" | "stays" | "another's" }
  | { do: "supervisord restarts"; ms: number }
  | { do: "kill"; ms: number }
  | { do: "restart"; ms: number }
  | { do: "power cut"; ms: number }
  | { do: "clock"; ms: number }
  | { do: "sick"; app: string; who: "live" | "staged" | "warm"; how: "answers-500" | "hangs" | "exits"; ms: number }
);

/** What a failure is reproduced from. */
export interface History {
  seed: number;
  operations: Operation[];
}

const app = fc.constantFrom("shop", "shop", "shop", ...appNames);
const pause = fc.constantFrom(0, 0, 5, 50, 200, 500, 1000, 2000, 5000, 5000, 12_000, 40_000);
const shortly = fc.constantFrom(10, 500, 2000, 6000, 15_000);
const waitMs = fc.constantFrom(0, 0, 5000, 60_000);
const sometimes = <T>(value: fc.Arbitrary<T>, depth = 4) => fc.option(value, { freq: depth, nil: undefined });

const bundle: fc.Arbitrary<BundleSpec> = fc
  .record({
    fault: fc.oneof(
      { weight: 5, arbitrary: fc.constant("" as const) },
      { weight: 4, arbitrary: fc.constantFrom(...faultsOfReleases) },
    ),
    laterMs: fc.constantFrom(1500, 3000, 6000, 20_000),
    instances: fc.constantFrom(2, 2, 2, 2, 2, 2, 1, 1, 3, 3, 3, 45),
    bind: rarely(fc.constant("port" as const), 3),
    protocol: rarely(fc.constant("uwsgi" as const), 7),
    balance: rarely(fc.constantFrom("url_hash" as const, "ip_hash" as const), 7),
    site: rarely(fc.constantFrom("none" as const, "foreign" as const, "addressed" as const, "preview" as const), 5),
    keepWarm: fc.constantFrom("0s", "5s", "5s", "60s"),
    watch: fc.constantFrom("0s", "4s", "4s", "10s"),
    command: rarely(fc.constant(true as const), 4),
    processes: rarely(fc.constantFrom("overlap" as const, "alone" as const), 5),
    stops: rarely(fc.constantFrom("slowly" as const, "never" as const), 6),
    bootMs: fc.constantFrom(120, 120, 900, 2000),
  })
  .map(withoutUsual);

/** Present in one of `often` values. */
function rarely<T>(value: fc.Arbitrary<T>, often: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: often - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
}

/** What is as usual is left out, so that a history is short to read. */
function withoutUsual(spec: Record<string, unknown>): BundleSpec {
  const usual: Record<string, unknown> = { fault: "", instances: 2, keepWarm: "5s", watch: "4s", bootMs: 120 };
  const later = typeof spec.fault === "string" && spec.fault.endsWith("-later");
  const entries = Object.entries(spec).filter(
    ([key, value]) => value !== undefined && value !== usual[key] && (key !== "laterMs" || later),
  );
  return Object.fromEntries(entries);
}

const fault = fc.record({
  do: fc.constant("fault" as const),
  effect: fc.constantFrom(...faultable),
  kind: fc.constantFrom<FaultKind>("fail", "fail", "lose", "lose", "slow", "kill-before", "kill-after"),
  after: fc.constantFrom(0, 0, 1, 2, 4),
  times: fc.constantFrom(1, 1, 2, 4, 9),
  pause,
});

const is = <T extends Operation["do"]>(name: T) => fc.constant(name);

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc
      .record({
        do: is("deploy"),
        app,
        bundle,
        stage: fc.constantFrom(false, false, true),
        leaseMs: fc.constantFrom(0, 3000, 30_000),
        waitMs,
        lostMs: sometimes(fc.constantFrom(10, 300, 700), 1),
        pause,
      })
      .map(({ stage, leaseMs, lostMs, ...rest }) => ({
        ...rest,
        ...(stage && { stage, ...(leaseMs > 0 && { leaseMs }) }),
        ...(lostMs !== undefined && rest.waitMs > 0 && { lostMs }),
      })),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: is("activate"),
      app,
      which: fc.constantFrom("staged", "staged", "staged", "earlier"),
      weight: fc.constantFrom(10, 50, 100),
      waitMs,
      pause,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: is("rollback"), app, waitMs, pause }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: is("redeploy"),
      app,
      which: fc.constantFrom("live", "earlier", "staged"),
      waitMs,
      pause,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: is("abort"), app, which: fc.constantFrom("last", "staged"), pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("resend"), app, pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("ask"), app, times: fc.constantFrom(1, 5), pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("pin"), app, pinned: fc.boolean(), pause }) },
  { weight: 2, arbitrary: fc.record({ do: is("repair"), app, pause }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: is("maintain"),
      app,
      allow: fc.constantFrom(null, [], ["10.0.0.1", "10.0.0.2"], ["10.0.0.3", "10.0.0.4"]),
      pause,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: is("remove"), app, pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("refused"), app, times: fc.constantFrom(1, 25), pause }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: is("settings"),
      app,
      what: fc.constantFrom("usual", "no ports", "other domain", "other address", "gone"),
      pause,
    }),
  },
  { weight: 8, arbitrary: fault },
  { weight: 1, arbitrary: fc.record({ do: is("disk full"), ms: shortly, pause }) },
  { weight: 2, arbitrary: fc.record({ do: is("helper away"), ms: shortly, pause }) },
  { weight: 2, arbitrary: fc.record({ do: is("foreign site"), ms: shortly, pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("foreign program"), ms: shortly, pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("foreign reload"), complains: fc.boolean(), pause }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: is("nginx dies"),
      ms: shortly,
      pid: fc.constantFrom("free", "stays", "another's"),
      pause,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: is("supervisord restarts"), ms: shortly, pause }) },
  { weight: 3, arbitrary: fc.record({ do: is("kill"), ms: shortly, pause }) },
  { weight: 4, arbitrary: fc.record({ do: is("restart"), ms: shortly, pause }) },
  { weight: 1, arbitrary: fc.record({ do: is("power cut"), ms: shortly, pause }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: is("clock"), ms: fc.constantFrom(-3_600_000, 3_600_000, 86_400_000), pause }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: is("sick"),
      app,
      who: fc.constantFrom("live", "staged", "warm"),
      how: fc.constantFrom("answers-500", "hangs", "exits"),
      ms: fc.constantFrom(1000, 8000, 120_000),
      pause,
    }),
  },
) as fc.Arbitrary<Operation>;

export const historyLength = 30;

const deploy = (bundle: BundleSpec, more: object = {}) =>
  fc.record({ do: is("deploy"), app, bundle: fc.constant(bundle), waitMs, pause }).map((one) => ({ ...one, ...more }));
const trouble = operation.filter((one) => hindering.has(one.do));
const hindering = new Set<Operation["do"]>([
  ...(["fault", "disk full", "helper away", "foreign site", "foreign program", "nginx dies"] as const),
  ...(["supervisord restarts", "kill", "restart", "sick"] as const),
]);
const long = fc.constantFrom(2000, 5000, 12_000, 40_000);
const restart = fc.record({ do: is("restart"), ms: fc.constantFrom(10, 500), pause: fc.constantFrom(500, 2000, 8000) });

/** Things that often happen one after the other, so that chance alone need not bring them together. */
const story: fc.Arbitrary<Operation[]> = fc.oneof(
  { weight: 30, arbitrary: fc.tuple(operation) },
  // A canary, and what hinders or hurts it.
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        deploy({}, { stage: true, pause: 5000 }),
        fc.record({
          do: is("activate"),
          app,
          which: only("staged"),
          weight: fc.constantFrom(10, 50),
          waitMs,
          pause: long,
        }),
        trouble,
        fc.record({
          do: is("sick"),
          app,
          who: only("staged"),
          how: only("answers-500"),
          ms: fc.constant(120_000),
          pause: long,
        }),
      )
      .map(oneApp),
  },
  // A release that fails its watch, while something hinders the way back.
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        deploy({}, { pause: 5000 }),
        deploy({ fault: "answers-500-later", laterMs: 1500, watch: "10s" }, { pause: 5000, waitMs: 60_000 }),
        trouble,
        operation,
        fc.record({ do: is("ask"), app, times: fc.constant(1), pause: long }),
        operation,
      )
      .map(oneApp),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        deploy({ stops: "never" }, { pause: 5000 }),
        operation,
        fc.record({ do: is("kill"), ms: fc.constant(10), pause: fc.constantFrom(500, 2000) }),
        restart,
        restart,
        restart,
      )
      .map(oneApp),
  },
  // Both apps are in the middle of something when the agent is restarted, and one of them takes long.
  {
    weight: 1,
    arbitrary: fc.tuple(
      deploy({ stops: "never", processes: "alone", keepWarm: "0s" }, { app: "shop", pause: 12_000, waitMs: 60_000 }),
      deploy({ processes: "alone" }, { app: "shop", pause: 2000 }),
      deploy({}, { app: "blog", pause: 500, waitMs: 0 }),
      restart,
      operation.map((one) => ("app" in one ? { ...one, app: "blog" } : one)),
    ),
  },
  { weight: 1, arbitrary: fc.tuple(operation, operation).map(([one, other]) => [{ ...one, pause: 0 }, other]) },
) as fc.Arbitrary<Operation[]>;

/** All in a story is about one app. */
function oneApp(all: Operation[] | readonly object[]): Operation[] {
  const operations = all as Operation[];
  const first = operations.find((one) => "app" in one) as { app?: string } | undefined;
  return operations.map((one) => ("app" in one ? ({ ...one, app: first?.app ?? "shop" } as Operation) : one));
}

function only<T extends string>(value: T) {
  return fc.constant(value);
}

export const operations: fc.Arbitrary<Operation[]> = fc
  .array(story, { minLength: historyLength, maxLength: historyLength, size: "max" })
  .map((stories) => stories.flat().slice(0, historyLength));

/** The history of a seed: always the same. */
export function historyOf(seed: number): History {
  const [found = []] = fc.sample(operations, { seed, numRuns: 1 });
  return { seed, operations: found };
}
