import { failedShare, latencyText } from "../../../shared/requests-view.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import { type Html, html } from "../html.ts";
import type { AppLine } from "../look.ts";
import { siteLink } from "../parts/facts.ts";
import { rateText } from "../parts/visitors.ts";
import type { Words } from "../words.ts";

/** The apps of the host, a line for each. */
export function appsPart(lines: AppLine[], { words, now }: { words: Words; now: number }): Html {
  if (lines.length === 0) return html`<p>${words.noApps}</p>`;
  const titles = [words.app, words.live, words.running];
  const numbers = [words.rate, words.failed, words.p95];
  return html`<div class="scroll" role="group" tabindex="0" id="apps-table" aria-label="${words.apps}"><table>
    <thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}${numbers.map((title) => html`<th scope="col" class="number">${title}</th>`)}<th scope="col">${words.lastDeployment}</th><th scope="col">${words.serves}</th></tr></thead>
    <tbody>${lines.map((line) => row(line, { words, now }))}</tbody>
  </table></div>`;
}

function row({ view, requests }: AppLine, { words, now }: { words: Words; now: number }): Html {
  const serving = view.instances.filter(({ slots }) => slots > 0);
  const running = serving.filter(({ state }) => state === "RUNNING").length;
  const live = requests?.runs.find(({ role }) => role === "live");
  const all = requests?.runs.reduce((sum, run) => sum + run.requests, 0) ?? 0;
  const { deployment } = view;
  return html`<tr>
    <th scope="row"><a id="app-${view.app}" href="/apps/${view.app}">${view.app}</a></th>
    <td>${view.live ?? words.nothing}</td>
    <td class="${running === serving.length ? "good" : "bad"}">${words.of(running, serving.length)}</td>
    <td class="number">${requests === undefined ? "" : rateText(all / requests.seconds)}</td>
    <td class="number ${live !== undefined && live.failed > 0 ? "bad" : ""}">${live === undefined ? "" : failedShare(live)}</td>
    <td class="number">${live?.p95 === undefined ? "" : latencyText(live.p95)}</td>
    <td>${deployment === null ? "" : `${words.kinds[deployment.kind]} ${words.outcomes[deployment.outcome]}, ${words.ago(shortTime(now - Date.parse(deployment.started)))}`}${deployment?.failure === undefined ? "" : html` <code>${deployment.failure.code}</code>`}</td>
    <td>${view.urls.map((url, index) => siteLink(url, `site-${view.app}-${index}`))}</td>
  </tr>`;
}
