import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BundleTarget } from "./bundle-target.ts";
import { Chance } from "./chance.ts";
import { manifestTarget } from "./manifest-target.ts";
import { fuzz, type Target } from "./target.ts";

let bundleTarget: BundleTarget;
beforeAll(async () => {
  bundleTarget = await BundleTarget.open();
});
afterAll(() => bundleTarget?.[Symbol.dispose]());

async function run<Input>(target: Target<Input>, seed: string, tries: number) {
  const outcome = await fuzz(target, (at) => new Chance(`${seed} ${at}`), { tries });
  expect(outcome, `npm run fuzz -- --target ${target.name} --seed ${seed}`).toMatchObject({ tries });
  expect(outcome.failure).toBeUndefined();
  return outcome;
}

test("bundles that were changed at random are refused, or are what their manifest says", async () => {
  const { tries, taken } = await run(bundleTarget, "fixed", 400);
  // Some come out unchanged, or changed in a way that means nothing: a target that takes none would see nothing.
  expect(taken).toBeGreaterThan(10);
  expect(taken).toBeLessThan(tries / 2);
  await run(bundleTarget, randomBytes(4).toString("hex"), 400);
});

test("manifests that were changed at random are refused, or obey the grammar", async () => {
  const { taken } = await run(manifestTarget, "fixed", 3000);
  expect(taken).toBeGreaterThan(10);
  await run(manifestTarget, randomBytes(4).toString("hex"), 3000);
});

test("a target that takes what it must refuse is found, and its input can be tried again", async () => {
  const careless: Target<Buffer> = {
    ...manifestTarget,
    check: async (bytes) => {
      if (bytes.includes("..")) throw new Error("taken");
      return "refused";
    },
  };
  const { failure } = await fuzz(careless, (at) => new Chance(`careless ${at}`), { tries: 5000 });
  expect(failure?.cause).toEqual(new Error("taken"));
  await expect(careless.check(careless.load(failure?.input ?? {}))).rejects.toThrow("taken");
});
