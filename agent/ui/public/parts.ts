import { failedShare, latencyText } from "../../../shared/requests-view.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import { type Html, html, when } from "../html.ts";
import type { VisitorsLook } from "../look.ts";
import { deploymentSentence, outcomeColours, steps } from "../parts/deployment.ts";
import { releaseMark } from "../parts/mark.ts";
import { slotsPart } from "../parts/slots.ts";
import { rateText, visitorsPart } from "../parts/visitors.ts";
import type { Words } from "../words.ts";
import type { PublicApp } from "./view.ts";

/** All that the public page of one app shows, at one time. */
export interface PublicLook extends VisitorsLook {
  view: PublicApp;
}

/** The published apps, a line for each. @param query what the links carry */
export function appsPart(looks: PublicLook[], query: string): Html {
  const [first] = looks;
  if (first === undefined) return html``;
  const { words } = first;
  const titles = [words.app, words.live, words.rate, words.failed, words.p95, words.lastDeployment];
  return html`<div class="scroll" role="group" tabindex="0" id="apps-table" aria-label="${words.apps}"><table>
    <thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
    <tbody>${looks.map((look) => row(look, query))}</tbody>
  </table></div>`;
}

function row({ view, samples, words, now }: PublicLook, query: string): Html {
  const requests = samples.at(-1)?.view;
  const live = requests?.runs.find(({ role }) => role === "live");
  const all = requests?.runs.reduce((sum, run) => sum + run.requests, 0) ?? 0;
  const { app, deployment } = view;
  return html`<tr>
    <th scope="row"><a id="app-${app}" href="apps/${app}${query}">${app}</a></th>
    <td>${view.live ?? words.nothing}</td>
    <td class="number">${requests === undefined ? "" : rateText(all / requests.seconds)}</td>
    <td class="number ${live !== undefined && live.failed > 0 ? "bad" : ""}">${live === undefined ? "" : failedShare(live)}</td>
    <td class="number">${live?.p95 === undefined ? "" : latencyText(live.p95)}</td>
    <td>${deployment === null ? "" : `${words.kinds[deployment.kind]} ${words.outcomes[deployment.outcome]}, ${agoText(deployment.started, words, now)}`}</td>
  </tr>`;
}

/** What the script replaces, by the id of its element. */
export function appParts(look: PublicLook): Record<string, Html> {
  const { view, words } = look;
  return {
    facts: html`${when(view.closed, () => html`<p class="warn">${words.closed}</p>`)}
      <dl class="facts"><div><dt>${words.live}</dt><dd>${view.live === null ? words.nothing : html`${releaseMark(look.colours, view.live)}${view.live}`}</dd></div></dl>`,
    said: html`${deploymentSentence(view.deployment, words)}`,
    slots: slotsPart(look),
    deployment: deploymentPart(look),
    visitors: visitorsPart(look),
    releases: releasesPart(look),
  };
}

function deploymentPart({ view: { deployment }, words, now }: PublicLook): Html {
  if (deployment === null) return html`<p class="dim">${words.noDeployment}</p>`;
  return html`
    <p>
      <strong class="${outcomeColours[deployment.outcome]}">${deploymentSentence(deployment, words)}</strong>
      <span class="dim">${agoText(deployment.started, words, now)}</span>
    </p>
    <ol class="steps">${steps(deployment, words)}</ol>`;
}

function releasesPart({ view, colours, words, now }: PublicLook): Html {
  const titles = [words.release, words.state, words.made];
  return html`<div class="scroll" role="group" tabindex="0" id="releases-table" aria-label="${words.releases}"><table>
    <thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
    <tbody>${view.releases.map(
      ({ id, state, created }) => html`<tr>
        <th scope="row">${releaseMark(colours, id)}${id}</th>
        <td>${words.releaseStates[state]}</td>
        <td><time datetime="${created}">${agoText(created, words, now)}</time></td>
      </tr>`,
    )}</tbody>
  </table></div>`;
}

function agoText(time: string, words: Words, now: number): string {
  return words.ago(shortTime(now - Date.parse(time)));
}
