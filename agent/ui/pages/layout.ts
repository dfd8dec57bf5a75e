import { type Html, html, when } from "../html.ts";
import { type Language, languages } from "../words.ts";

export interface PageParts {
  language: Language;
  /** Undefined: the page does not say whose it is. */
  host?: string;
  title: string;
  main: Html;
  /** Where the script gets what changes; undefined: nothing does. */
  live?: string;
  /** The address of this page, for the link to the other language. */
  here?: string;
  /** Where the page, its script and its style sheet are. */
  root?: string;
  /** The pages to go to; undefined: all of them. */
  links?: Html;
}

/** A whole page. The script is an addition: without it the page reads itself again every ten seconds. */
export function layout({ language, host, title, main, live, here = "/", root = "/", links }: PageParts): Html {
  const words = languages[language];
  const other = `${here}${here.includes("?") ? "&" : "?"}lang=${words.otherLanguage}`;
  return html`<!doctype html>
<html lang="${words.language}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title} - cutover${host === undefined ? "" : `, ${host}`}</title>
  <link rel="icon" href="${root}icon.svg">
  <link rel="stylesheet" href="${root}page.css">
  ${when(live !== undefined, () => html`<script src="${root}page.js" defer></script><noscript><meta http-equiv="refresh" content="10"></noscript>`)}
</head>
<body data-live="${live ?? ""}">
  <a class="skip" href="#content">${words.skip}</a>
  <header>
    <nav aria-label="cutover">
      <strong>cutover</strong> ${host === undefined ? "" : html`<span class="dim">${host}</span>`}
      ${links ?? html`<a href="/">${words.apps}</a> <a href="/history">${words.history}</a> <a href="/doctor">${words.doctor}</a>`}
      <a class="end" href="${other}" lang="${words.otherLanguage}" hreflang="${words.otherLanguage}">${words.other}</a>
    </nav>
  </header>
  <p id="lost" class="problem" role="alert" hidden>${host === undefined ? words.lostPublic : words.lost}</p>
  <main id="content" tabindex="-1">
    <h1>${title}</h1>
    ${main}
  </main>
</body>
</html>`;
}
