import { releaseOfRun } from "../../../shared/names.ts";
import type { ReleaseView } from "../../../shared/protocol.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import { type Html, html, when } from "../html.ts";
import type { AppLook } from "../look.ts";
import { releaseMark } from "./mark.ts";

/** The releases, and what can be done with each. Every button leads to a question. */
export function releasesPart(look: AppLook): Html {
  const { view, words } = look;
  const { app, previous, live } = view;
  const column = (text: string) => html`<th scope="col">${text}</th>`;
  const titles = [words.release, words.state, words.made, words.commit, words.repository, words.actions];
  return html`
    ${when(
      live !== null && previous !== null,
      () =>
        html`<p><a class="button" id="rollback" href="/apps/${app}/ask/rollback">${words.rollback}: ${previous}</a></p>`,
    )}
    <div class="scroll" role="group" tabindex="0" id="releases-table" aria-label="${words.releases}"><table>
      <thead><tr>${titles.map(column)}</tr></thead>
      <tbody>${view.releases.map((release) => row(release, look))}</tbody>
    </table></div>`;
}

function row(release: ReleaseView, { view, colours, words, now }: AppLook): Html {
  const { id, state, created, commit, repository, pinned } = release;
  const colour = { live: "good", staged: "info", failed: "bad", rolled_back: "warn", good: "", unpacked: "dim" }[state];
  return html`<tr>
    <th scope="row">${releaseMark(colours, id)}${id}</th>
    <td class="${colour}">${words.releaseStates[state]}${pinned === true ? `, ${words.pinned}` : ""}</td>
    <td><time datetime="${created}">${words.ago(shortTime(now - Date.parse(created)))}</time></td>
    <td><code>${commit.slice(0, 7)}</code></td>
    <td>${repository}</td>
    <td>${buttons(release, { view, words })}</td>
  </tr>`;
}

function buttons({ id, state }: ReleaseView, { view, words }: Pick<AppLook, "view" | "words">): Html[] {
  const { app, live, staged, staged_by } = view;
  const button = (action: "redeploy" | "activate" | "abort", query: string) =>
    html`<a class="button" id="${action}-${id}" href="/apps/${app}/ask/${action}?${query}">${words[action]}<span class="hidden"> ${id}</span></a> `;
  if (live !== null && releaseOfRun(live) === id) return [button("redeploy", `release=${id}`)];
  const isStaged = staged !== null && releaseOfRun(staged) === id;
  const found = isStaged || state === "good" || state === "rolled_back" ? [button("activate", `release=${id}`)] : [];
  if (isStaged && staged_by !== null) found.push(button("abort", `deployment=${staged_by}`));
  return found;
}
