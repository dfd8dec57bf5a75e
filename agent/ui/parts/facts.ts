import { rollbackIsImmediate } from "../../../shared/app-view.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { AppView } from "../../../shared/protocol.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import type { Colours } from "../colours.ts";
import { type Html, html, when } from "../html.ts";
import type { AppLook } from "../look.ts";
import { releaseMark } from "./mark.ts";

/** What is live, staged, warm; where the site is; what is wrong. */
export function factsPart({ view, words, colours }: AppLook): Html {
  const { live, staged, weight, warm, previous, maintenance, held, problem } = view;
  const row = (name: string, value: Html | string) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const named = (run: string) => html`${releaseMark(colours, releaseOfRun(run))}${run}`;
  return html`<dl class="facts">
    ${row(words.live, live === null ? words.nothing : named(live))}
    ${staged === null ? "" : row(weight === 0 ? words.staged : words.canary, html`${named(staged)}, ${words.withShare(weight)}`)}
    ${warm === null ? "" : row(words.warm, html`${named(warm.run)}, ${words.warmUntil(`${warm.until.slice(11, 16)} UTC`, rollbackIsImmediate(view))}`)}
    ${previous === null ? "" : row(words.previous, named(previous))}
    ${when(view.urls.length > 0, () => row(words.serves, html`${view.urls.map((url, index) => siteLink(url, `site-${index}`))}`))}
    ${maintenance === undefined ? "" : row(words.closed, html`<span class="warn">${maintenance.since}</span>`)}
    ${held === undefined ? "" : row(words.held, html`<span class="bad" lang="en">${held}</span>`)}
    ${problem === undefined ? "" : row(words.problem, html`<span class="bad" lang="en">${problem}</span>`)}
  </dl>`;
}

/** Only what a browser opens as a page is a link. */
export function siteLink(url: string, id: string): Html {
  if (!/^https?:\/\//.test(url)) return html`${url} `;
  return html`<a id="${id}" href="${url}" rel="noreferrer noopener">${url}</a> `;
}

export function instancesPart({ view, words, colours }: AppLook): Html {
  const titles = [words.instance, words.release, words.state, words.up];
  const numbers = [words.connections, words.slots];
  return html`<div class="scroll" role="group" tabindex="0" id="instances-table" aria-label="${words.instances}"><table>
    <thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}${numbers.map((title) => html`<th scope="col" class="number">${title}</th>`)}<th scope="col">${words.logs}</th></tr></thead>
    <tbody>${view.instances.map((one, index) => instanceRow(one, { app: view.app, index, logs: words.logs, colours }))}</tbody>
  </table></div>`;
}

interface RowParts {
  app: string;
  index: number;
  logs: string;
  colours: Colours;
}

function instanceRow(one: AppView["instances"][number], { app, index, logs, colours }: RowParts): Html {
  const colour = one.state === "RUNNING" ? "good" : one.state === "STARTING" ? "warn" : "bad";
  return html`<tr>
    <th scope="row">${one.name}</th><td>${releaseMark(colours, releaseOfRun(one.run))}${one.run}</td><td class="${colour}" lang="en">${one.state}</td>
    <td>${one.uptime === undefined ? "" : shortTime(one.uptime)}</td>
    <td class="number">${one.process === undefined ? one.connections : ""}</td>
    <td class="number">${one.process === undefined ? one.slots : ""}</td>
    <td><a id="logs-${index}" href="/apps/${app}/logs?run=${one.run}#${one.name}">${logs}<span class="hidden"> ${one.name}</span></a></td>
  </tr>`;
}
