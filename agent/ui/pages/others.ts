import type { CutoverError } from "../../../shared/errors.ts";
import type { Finding } from "../../doctor/finding.ts";
import { type Html, html } from "../html.ts";
import type { Words } from "../words.ts";

export interface LogsParts {
  app: string;
  lines: number;
  logs: { source: string; text: string }[];
}

export function logsPart({ app, lines, logs }: LogsParts, words: Words): Html {
  return html`<p>${words.lines(lines)} <a href="/apps/${app}">${words.back(app)}</a></p>
    ${logs.length === 0 ? html`<p>${words.noLogs}</p>` : ""}
    ${logs.map(
      ({ source, text }) => html`<section aria-labelledby="${source}"><h2 id="${source}">${source}</h2>
        <pre lang="en" tabindex="0" aria-label="${source}">${text}</pre></section>`,
    )}`;
}

/** What the doctor found. To mend something is for `cutover doctor --fix`. */
export function doctorPart(findings: Finding[], words: Words): Html {
  if (findings.length === 0) return html`<p class="good">${words.healthy}</p>`;
  return html`<ul class="findings">${findings.map(
    ({ severity, check, what, why, fix }) => html`<li>
      <p><strong class="${severity === "error" ? "bad" : "warn"}">${words[severity]}</strong> <code>${check}</code></p>
      <div lang="en"><p><strong>${what}</strong></p><p>${why}</p></div>
      <p>${words.fix}: <span lang="en">${fix}</span></p>
    </li>`,
  )}</ul><p><a class="button" href="/doctor">${words.again}</a></p>`;
}

/** What happened, what did not change, what to do: in the agent's words. */
export function problemPart({ code, message, unchanged, fix }: CutoverError, words: Words): Html {
  return html`<div class="problem" lang="en">
    <p><strong>${message}</strong> <code>${code}</code></p>
    ${unchanged === undefined ? "" : html`<p>${unchanged}</p>`}
    ${fix === undefined ? "" : html`<p><span lang="${words.language}">${words.fix}</span>: ${fix}</p>`}
  </div>
  <p><a href="/">${words.apps}</a></p>`;
}

/**
 * The browser comes back from a page of ours: only then it sends a cookie with `SameSite=Strict`.
 * @param to where it goes on
 */
export function enteredPage(words: Words, to: string): Html {
  return html`<!doctype html>
<html lang="${words.language}">
<head><meta charset="utf-8"><title>cutover</title><meta http-equiv="refresh" content="0; url=${to}">
<link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/page.css"></head>
<body><main><p>${words.entering} <a href="${to}">${words.open}</a></p></main></body>
</html>`;
}
