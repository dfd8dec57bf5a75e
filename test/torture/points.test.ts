import { expect, test } from "vitest";
import type { Effect } from "../../agent/effects.ts";
import type { Logged } from "./effect-log.ts";
import { operations } from "./operations.ts";
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

test("each way to fail comes in the first operation that has the effect, and one of them in every third of the others", () => {
  const [first = "", ...others] = operations.slice(0, 7).map(({ name }) => name);
  const which = recording(
    [first, log(["slots.tidy"]), "prepared"],
    ...others.map((name): [string, Logged[], "prepared"] => [name, log(["slots.tidy"]), "prepared"]),
  );
  const fails = struck(which, "fail");
  expect(fails.slice(0, 2)).toEqual(["deploy: fail-EIO slots.tidy 1", "deploy: fail-EMFILE slots.tidy 1"]);
  expect(fails).toHaveLength(4);
  expect(struck(which, "fail", { kills: true })).toEqual([]);
  expect(struck(which, "kill", { once: true }).every((point) => point.startsWith("deploy"))).toBe(true);
});

test("an operation that begins and ends as one before it is struck where they differ", () => {
  const which = recording(
    ["deploy", log(["app.prepare", "run.prepare", "slots.swap", "run.kill", "run.remove"])],
    ["new", log(["app.prepare", "run.prepare", "environment.build", "slots.swap", "run.kill", "run.remove"])],
  );
  expect(struck(which, "kill").filter((point) => point.startsWith("new"))).toEqual([
    "new: kill-after run.prepare 1",
    "new: kill-after environment.build 1",
    "new: kill-after slots.swap 1",
  ]);
});
