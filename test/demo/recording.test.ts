import { readFileSync } from "node:fs";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { expect, test } from "vitest";
import { renderRecording, type TimedLine } from "./recording.ts";

const options = { columns: 40, rows: 4, idle: 1, rest: 2 };
const csi = "\u001b";

function render(lines: TimedLine[]): string {
  const svg = renderRecording(lines, "npm run demo", options);
  expect(XMLValidator.validate(svg)).toBe(true);
  return svg;
}

/** When and how far the screen has moved: 18 pixels a line. */
function moves(svg: string): string[] {
  return [...svg.matchAll(/^(?:@keyframes play\{)?([\d.]+%)\{transform:translateY\((-?\d+)px\)\}/gm)].map(
    ([, at, by]) => `${at} ${by}`,
  );
}

test("lines come in from below at their times, long waits are cut, and the end stays", () => {
  const svg = render([
    { at: 0.5, text: "one" },
    { at: 1, text: "two" },
    { at: 31, text: "three" },
  ]);
  expect(moves(svg)).toEqual(["0% 72", "12.50% 54", "25.00% 36", "50.00% 18"]);
  expect(svg).toContain("animation:play 4.0s step-end infinite");
  expect(svg).toContain(".screen{transform:translateY(18px);");
});

test("colours and weights are classes, in light and in dark, and text is escaped", () => {
  const svg = render([{ at: 0, text: `${csi}[1m<b>${csi}[22m & ${csi}[32m✓${csi}[39m done` }]);
  expect(svg).toContain('<tspan class="bold">&lt;b&gt;</tspan> &amp; <tspan class="green">✓</tspan> done</text>');
  expect(svg.match(/\.green\{fill:/g)).toHaveLength(2);
  expect(svg).toContain("@media (prefers-color-scheme:dark)");
});

test("a line that is too long goes on in the next, with its colour", () => {
  const svg = render([{ at: 0, text: `${csi}[36m${"word ".repeat(12).trim()}${csi}[39m` }]);
  const texts = [...svg.matchAll(/<text y="\d+">(.*)<\/text>/g)].map(([, text]) => text);
  expect(texts).toEqual([
    '<tspan class="cyan">word word word word word word word word</tspan>',
    '    <tspan class="cyan">word word word word</tspan>',
  ]);
});

test("the committed recording is of a run in which visitors took v3 back, and no other request failed", () => {
  const svg = readFileSync(".github/assets/demo.svg", "utf8");
  new XMLParser().parse(svg, true);
  const text = svg.replaceAll(/<\/?(?:tspan|text)[^>]*>/g, "").replaceAll(/\s+/g, " ");
  expect(text).toMatch(/\/enter\?token=\S+ open it in a browser/);
  expect(text).toContain("v2 is live");
  expect(text).not.toContain("v3 is live");
  expect(text).toMatch(/-3333333 failed: .* Most of them: \/checkout\. The traffic goes back to \S+-2222222/);
  expect(text).toContain("the job failed with visitors_failed. All traffic went back");
  expect(text).toMatch(/ \d+,\d{3} sent, 0 failed; /);
  expect(text).toMatch(/\/checkout, counted apart: [\d,]+ sent, [1-9]\d* answered 500 by v3/);
  expect(text).not.toMatch(/\s[1-9][\d,]* failed\b/);
});
