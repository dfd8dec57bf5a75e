import { expect } from "vitest";

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Reads the exposition format 0.0.4 by its rules, and throws if they are broken. @returns each sample as `name{labels}` with its value */
export function readMetrics(text: string): Map<string, number> {
  expect(text.endsWith("\n")).toBe(true);
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  let family = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind = "", name = "", rest = ""] = comment;
      expect(name).toMatch(metricName);
      if (kind === "HELP") {
        // All lines of a family stand together, so its name comes once.
        expect(types.has(name), `${name} comes twice`).toBe(false);
        family = name;
      } else {
        expect(name).toBe(family);
        expect(rest).toMatch(/^(counter|gauge|histogram|summary|untyped)$/);
        types.set(name, rest);
      }
      continue;
    }
    const [, name = "", labels = "", value = ""] = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    expect(name, line).toMatch(metricName);
    const suffixes = types.get(family) === "histogram" ? "(?:_bucket|_sum|_count)" : "";
    expect(name).toMatch(new RegExp(`^${family}${suffixes}$`));
    for (const pair of labels === "" ? [] : labels.split(/,(?=[a-zA-Z_]+=")/)) {
      const [, label = ""] = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"$/.exec(pair) ?? [];
      expect(label, `${line}: ${pair}`).toMatch(labelName);
    }
    expect(value).toMatch(/^(?:[+-]?Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/);
    const key = labels === "" ? name : `${name}{${labels}}`;
    expect(samples.has(key), `${key} comes twice`).toBe(false);
    samples.set(key, value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value));
  }
  return samples;
}
