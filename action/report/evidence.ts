import type { Evidence } from "../../shared/errors.ts";

/** What programs printed, without what they printed several times: instances that fail in the same way say the same. */

/** Of a text that is longer nobody reads the repetitions. */
const longest = 128 * 1024;

/**
 * Evidence with repeated tracebacks left out, and without what another program said in the same words. What has a traceback
 * comes first.
 */
export function withoutRepeats(evidence: readonly Evidence[]): Evidence[] {
  const said = new Map<string, string>();
  const telling = evidence.find(({ text }) => text.includes("Traceback (most recent call last)"));
  const ordered = telling === undefined ? evidence : [telling, ...evidence.filter((each) => each !== telling)];
  return ordered.map(({ source, text }) => {
    const short = onceEach(text);
    const key = alike(short);
    const earlier = said.get(key);
    if (earlier !== undefined) return { source, text: `[the same as ${earlier}]` };
    said.set(key, source);
    return { source, text: short };
  });
}

const heading = /Traceback \(most recent call last\):\s*$/;

/** The same traceback once. */
function onceEach(text: string): string {
  if (text.length > longest) return text;
  const seen = new Set<string>();
  const kept: string[] = [];
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; ) {
    const end = heading.test(lines[index] ?? "") ? tracebackEnd(lines, index) : index + 1;
    const block = lines.slice(index, end);
    index = end;
    const key = alike(block.join("\n"));
    const isRepeated = block.length > 1 && seen.has(key);
    if (block.length > 1) seen.add(key);
    if (!isRepeated) kept.push(...block);
    else if (kept.at(-1) !== again) kept.push(again);
  }
  return kept.join("\n");
}

const again = "[the same traceback again]";

/** Behind the line that names what was raised. */
function tracebackEnd(lines: string[], start: number): number {
  const length = lines.slice(start + 1).findIndex((line) => line !== "" && !/^\s/.test(line));
  return length === -1 ? lines.length : start + length + 2;
}

/** A text without what differs each time: dates, process ids, addresses in memory, the names of instances. */
function alike(text: string): string {
  return text
    .replace(/\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[^\]\s]*(?: [+-]\d{4})?\]?/g, "")
    .replace(/\b0x[0-9a-f]+|\bweb-\d+|\d+/g, "N");
}
