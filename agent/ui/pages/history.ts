import { type AuditEntry, actorName } from "../../../shared/protocol.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import { type Html, html } from "../html.ts";
import type { Words } from "../words.ts";

/** Who did what, newest first. */
export function historyPart(entries: AuditEntry[], words: Words): Html {
  // As `cutover history` does it: the begin of a deployment is shown only if its end is not known.
  const ended = new Set(entries.filter(({ event }) => event === "ended").map(({ deployment }) => deployment));
  const shown = entries.filter(({ event, deployment }) => event !== "begun" || !ended.has(deployment)).toReversed();
  if (shown.length === 0) return html`<p>${words.noHistory}</p>`;
  const titles = [words.time, words.app, words.what, words.release, words.result, words.who];
  return html`<div class="scroll" role="group" tabindex="0" aria-label="${words.history}"><table>
    <thead><tr>${titles.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
    <tbody>${shown.map((entry) => row(entry, words))}</tbody>
  </table></div>`;
}

function row(entry: AuditEntry, words: Words): Html {
  const { at, app, what, weight, release, by, reason } = entry;
  const kind = words.kinds[what as keyof Words["kinds"]] ?? what.replaceAll("_", " ");
  const { text, colour } = resultOf(entry, words);
  return html`<tr>
    <td><time datetime="${at}">${at.slice(0, 10)} ${at.slice(11, 19)}</time></td>
    <td>${app}</td>
    <td>${kind}${weight === undefined ? "" : ` ${weight} %`}</td>
    <td>${release ?? ""}</td>
    <td class="${colour}">${text}</td>
    <td>${by === undefined ? `${words.nobody}: ${reason ?? ""}` : actorName(by)}</td>
  </tr>`;
}

function resultOf({ event, outcome, code, took }: AuditEntry, words: Words): { text: string; colour: string } {
  const why = code === undefined ? "" : ` [${code}]`;
  if (event === "refused") return { text: `${words.refused}${why}`, colour: "warn" };
  if (event === "done") return { text: words.did, colour: "" };
  if (event === "begun" || outcome === undefined) return { text: words.begun, colour: "info" };
  const time = took === undefined ? "" : ` ${shortTime(took)}`;
  const good = outcome === "succeeded" || outcome === "staged";
  return { text: `${words.outcomes[outcome]}${why}${time}`, colour: good ? "good" : "bad" };
}
