import { failedShare, latencyText, type RunRequests } from "../../../shared/requests-view.ts";
import { type Html, html, when } from "../html.ts";
import type { VisitorsLook } from "../look.ts";
import { chart, chartReleases, type Measure } from "./chart.ts";
import { releaseMark } from "./mark.ts";

export function rateText(rate: number): string {
  return rate >= 100 ? Math.round(rate).toLocaleString("en-US") : rate.toFixed(1);
}

/** What visitors see of each release: numbers of the last seconds, and three charts. */
export function visitorsPart(look: VisitorsLook): Html {
  const { samples, colours, words } = look;
  const view = samples.at(-1)?.view;
  if (view === undefined) return html`<p class="dim">${words.notCounted}</p>`;
  const row = (run: RunRequests) => html`<tr>
      <th scope="row">
        ${run.release === null ? words.roles.none : html`${releaseMark(colours, run.release)}${run.run}`}
      </th>
      <td>${run.release === null ? "" : words.roles[run.role]}</td>
      <td class="number">${rateText(run.requests / view.seconds)}</td>
      <td class="number ${run.failed > 0 ? "bad" : ""}">${failedShare(run)}</td>
      <td class="number">${run.p50 === undefined ? "" : latencyText(run.p50)}</td>
      <td class="number">${run.p95 === undefined ? "" : latencyText(run.p95)}</td>
    </tr>`;
  return html`
    ${when(view.gap !== undefined, () => html`<p class="warn">${words.gap}${view.gap === "" ? "" : html`: <span lang="en">${view.gap}</span>`}</p>`)}
    <div class="scroll" role="group" tabindex="0" id="visitors-table" aria-label="${words.visitors}"><table>
      <thead><tr>
        <th scope="col">${words.release}</th><th scope="col">${words.role}</th>
        <th scope="col" class="number">${words.rate}</th><th scope="col" class="number">${words.failed}</th>
        <th scope="col" class="number">${words.p50}</th><th scope="col" class="number">${words.p95}</th>
      </tr></thead>
      <tbody>${view.runs.map(row)}</tbody>
    </table></div>
    <p class="dim">${words.visitorsHint(view.seconds)}</p>
    <div class="charts">${measures(look).map((measure) => chart(look, measure))}</div>
    <ul class="legend" aria-label="${words.charted}">${chartReleases(samples).map((release) => html`<li>${releaseMark(colours, release)}${release}</li>`)}</ul>
    ${failingPaths(view.runs, look)}`;
}

function measures({ words }: VisitorsLook): Measure[] {
  return [
    { name: words.rate, of: ({ requests }, seconds) => requests / seconds, text: rateText, atLeast: 1 },
    {
      name: words.failed,
      of: ({ requests, failed }) => (requests === 0 ? undefined : (failed / requests) * 100),
      text: (share) => `${share.toFixed(1)} %`,
      atLeast: 1,
    },
    { name: words.p95, of: ({ p95 }) => p95, text: latencyText, atLeast: 10 },
  ];
}

function failingPaths(runs: RunRequests[], { colours, words }: VisitorsLook): Html | string {
  const failing = runs.flatMap(({ release, failing }) => failing.map((one) => ({ release, ...one })));
  if (failing.length === 0) return "";
  const rows = failing
    .toSorted((a, b) => b.count - a.count)
    .slice(0, 10)
    .map(
      ({ release, path, count }) => html`<tr>
        <td class="number bad">${count}</td>
        <td>${release === null ? "" : html`${releaseMark(colours, release)}${release}`}</td>
        <td><code lang="en">${path.slice(0, 120)}</code></td>
      </tr>`,
    );
  return html`<h3>${words.failing}</h3>
    <div class="scroll" role="group" tabindex="0" id="failing-table" aria-label="${words.failing}"><table><thead><tr><th scope="col" class="number">${words.count}</th><th scope="col">${words.release}</th>
      <th scope="col">${words.path}</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}
