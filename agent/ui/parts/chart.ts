import type { RunRequests } from "../../../shared/requests-view.ts";
import { type Html, html } from "../html.ts";
import type { VisitorsLook } from "../look.ts";
import { chartMs, type Sample, sampleMs } from "../samples.ts";

export interface Measure {
  name: string;
  /** undefined: nothing to draw at this time. */
  of(run: RunRequests, seconds: number): number | undefined;
  text(value: number): string;
  /** The chart is at least so high. */
  atLeast: number;
}

/** A chart that has just begun is as wide as what there is to see. */
const shortestMs = 30_000;

const size = { width: 600, height: 80 };

interface Point {
  at: number;
  value: number;
}

/** A line for each release. A picture of 150 points needs no library: the table next to it has the numbers. */
export function chart({ samples, colours, words, now }: VisitorsLook, measure: Measure): Html {
  const lines = pointsByRelease(samples, measure);
  const highest = Math.max(measure.atLeast, ...[...lines.values()].flat().map(({ value }) => value));
  const spanMs = Math.min(chartMs, Math.max(shortestMs, now - (samples[0]?.at ?? now)));
  const x = (at: number) => (((at - now + spanMs) / spanMs) * size.width).toFixed(1);
  const y = (value: number) => (size.height - (value / highest) * (size.height - 4) - 2).toFixed(1);
  return html`
    <figure>
      <figcaption>${measure.name} <span class="dim">${words.highest(measure.text(highest))}</span></figcaption>
      <svg viewBox="0 0 ${size.width} ${size.height}" preserveAspectRatio="none" role="img"
        aria-label="${words.chart(measure.name)}">
        ${[...lines].flatMap(([release, points]) =>
          unbroken(points).map(
            (part) =>
              html`<polyline class="${colours.of(release)}"
                points="${part.map(({ at, value }) => `${x(at)},${y(value)}`).join(" ")}"></polyline>`,
          ),
        )}
      </svg>
    </figure>`;
}

/** The releases that have a line, the oldest first. */
export function chartReleases(samples: Sample[]): string[] {
  const runs = samples.flatMap(({ view }) => view.runs);
  return [...new Set(runs.flatMap(({ release }) => (release === null ? [] : [release])))].sort();
}

function pointsByRelease(samples: Sample[], measure: Measure): Map<string, Point[]> {
  const lines = new Map<string, Point[]>();
  for (const { at, view } of samples) {
    for (const run of view.runs) {
      const value = measure.of(run, view.seconds);
      if (run.release === null || value === undefined) continue;
      const points = lines.get(run.release) ?? [];
      // Two runs of one release: the one that comes first in the view has the traffic.
      if (points.at(-1)?.at !== at) points.push({ at, value });
      lines.set(run.release, points);
    }
  }
  return lines;
}

/** Where a release had no visitors, its line has a gap. */
function unbroken(points: Point[]): Point[][] {
  const parts: Point[][] = [];
  for (const point of points) {
    const part = parts.at(-1);
    const last = part?.at(-1);
    if (part !== undefined && last !== undefined && point.at - last.at <= 3 * sampleMs) part.push(point);
    else parts.push([point]);
  }
  return parts;
}
