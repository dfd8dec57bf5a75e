import { expect, test } from "vitest";
import type { Effect } from "../../agent/effects.ts";
import type { Logged } from "./effect-log.ts";
import { pointsOf, type Recording } from "./points.ts";

/** Effects one after the other, `gap` milliseconds apart. */
function log(effects: Effect[], gap = 1): Logged[] {
  return effects.flatMap((effect, index) => [
    { at: index * (gap + 5), when: "before", effect, what: "" },
    { at: index * (gap + 5) + 5, when: "after", effect, what: "" },
  ]);
}

function recording(...logs: [name: string, log: Logged[], prepared?: "prepared"][]): Recording {
  return new Map(
    logs.map(([name, lines, prepared]) => [
      { name, run: async () => undefined, ...(prepared && { prepare: async () => undefined }) },
      lines,
    ]),
  );
}

function struck(which: Recording, kind: "kill" | "fail", how = {}): string[] {
  return pointsOf(which, how)
    .filter(({ strike }) => strike.fault.startsWith("kill") === (kind === "kill"))
    .map(({ operation, strike }) => `${operation.name}: ${strike.fault} ${strike.effect} ${strike.time}`);
}

test("two kills with nothing done between them are one point", () => {
  expect(struck(recording(["deploy", log(["slots.prepare", "slots.swap"])]), "kill")).toEqual([
    "deploy: kill-before slots.prepare 1",
    "deploy: kill-after slots.prepare 1",
    "deploy: kill-after slots.swap 1",
  ]);
});

test("where time passes between two effects, both kills are struck: the host may have changed by itself", () => {
  expect(struck(recording(["deploy", log(["programs.start", "state.write:healthy"], 50)]), "kill")).toHaveLength(4);
});

test("each way to fail comes in the first operation that has the effect, and one of them in each other", () => {
  const which = recording(["stage", log(["slots.tidy"]), "prepared"], ["abort", log(["slots.tidy"]), "prepared"]);
  expect(struck(which, "fail")).toEqual([
    "stage: fail-EIO slots.tidy 1",
    "stage: fail-EMFILE slots.tidy 1",
    "abort: fail-EMFILE slots.tidy 1",
  ]);
  expect(struck(which, "fail", { kills: true })).toEqual([]);
  expect(struck(which, "kill", { once: true }).every((point) => point.startsWith("stage"))).toBe(true);
});

test("an operation that begins as one before it is struck from where they part", () => {
  const which = recording(
    ["deploy", log(["app.prepare", "run.prepare", "slots.swap"])],
    ["stage", log(["app.prepare", "run.prepare", "slots.tidy"])],
  );
  const own = struck(which, "kill").filter((point) => point.startsWith("stage"));
  expect(own).toEqual(["stage: kill-after run.prepare 1", "stage: kill-after slots.tidy 1"]);
});
