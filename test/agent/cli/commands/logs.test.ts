import { afterEach, beforeEach, expect, test } from "vitest";
import { newLines } from "../../../../agent/cli/commands/logs.ts";
import { fakeAppView } from "../../../fakes/app-view.ts";
import { TestHost } from "../support.ts";

const release = "20261121T103000Z-3f2c1ab";
let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
  await host.startAgent();
});
afterEach(() => host.close());

const asked = () => host.service.calls.filter(({ method }) => method === "logs").map(({ detail }) => detail);

test("logs takes a release: its newest run, or the only one of a release that failed", async () => {
  const view = fakeAppView();
  const [first] = view.instances;
  if (first === undefined) throw new Error("the view has no instance");
  view.instances = [2, 10, 1].map((count) => ({ ...first, run: `${release}.${count}` }));
  host.service.views.set("shop", view);
  await host.run(["logs", "shop", release]);
  await host.run(["logs", "shop", "20261119T080000Z-1111111"]);
  await host.run(["logs", "shop", `${release}.2`]);
  expect(asked()).toEqual([
    { lines: 100, run: `${release}.10` },
    { lines: 100, run: "20261119T080000Z-1111111" },
    { lines: 100, run: `${release}.2` },
  ]);
  expect(await host.run(["logs", "shop", "v2"])).toMatchObject({ exit: 2 });
});

test("what was written between two looks is found, also if the first lines have gone meanwhile", () => {
  const tail = (...lines: string[]) => [{ source: "web-0", text: `${lines.join("\n")}\n` }];
  const lines = (before: string[], now: string[]) =>
    newLines(before.length === 0 ? [] : tail(...before), tail(...now)).map(({ line }) => line);
  expect(lines(["a", "b"], ["a", "b"])).toEqual([]);
  expect(lines(["a", "b"], ["a", "b", "c"])).toEqual(["c"]);
  expect(lines(["a", "b", "c"], ["c", "d", "e"])).toEqual(["d", "e"]);
  expect(lines(["a", "a"], ["a", "a", "a"])).toEqual(["a"]);
  expect(lines(["a"], ["x", "y"])).toEqual(["x", "y"]);
  expect(lines([], ["a"])).toEqual(["a"]);
});
