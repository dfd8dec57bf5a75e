import { expect, test } from "vitest";
import { renderFitting, renderTable } from "../../../../agent/cli/terminal/table.ts";

const head = ["time", "app", "result", "who", "run"];
const rows = [
  ["2026-11-21 10:01:00", "shop", "succeeded 4.5s", "acme/shop", "https://github.com/acme/shop/actions/runs/1"],
  ["2026-11-21 10:03:00", "shop", "done", "local operator", ""],
];

test("a table that fits, or that nobody sees in a terminal, is whole", () => {
  const whole = renderTable(head, rows);
  expect(renderFitting(head, rows, undefined)).toBe(whole);
  expect(renderFitting(head, rows, 200)).toBe(whole);
});

test("what does not fit follows each row, with its name", () => {
  expect(renderFitting(head, rows, 50)).toBe(`time                 app   result
2026-11-21 10:01:00  shop  succeeded 4.5s
    who: acme/shop
    run: https://github.com/acme/shop/actions/runs/1
2026-11-21 10:03:00  shop  done
    who: local operator`);
});

test("colours have no width", () => {
  const green = (text: string) => `\u001b[32m${text}\u001b[39m`;
  expect(renderFitting(["a", "b"], [[green("x".repeat(10)), green("y".repeat(10))]], 22)).not.toContain("b: ");
});
