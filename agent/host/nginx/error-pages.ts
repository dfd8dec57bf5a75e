import { join, posix } from "node:path";
import { type Config, siteOf } from "../../../shared/config.ts";
import type { Site } from "../../../shared/config-site.ts";
import { headers, inRelease, type OwnHeaders } from "./locations.ts";
import { block, plain, quotedText } from "./values.ts";

/** What a visitor sees while nothing answers, and while the site is closed. The status does not change. */

const ownPage = "@cutover_unavailable";
/** It must have a path: only then nginx gets a file by GET, whatever the visitor's method was. */
const projectPage = "/cutover-unavailable";

const unavailable = [502, 503, 504];
const fromTheApp = [500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511];

/** The directive that leads to the error page. */
export function errorPages({ error_page: file, proxy_intercept_errors: intercept }: Site): string[] {
  const codes = intercept ? fromTheApp : unavailable;
  return [`error_page ${codes.join(" ")} ${file === undefined ? ownPage : projectPage};`];
}

interface PageContext {
  home: string;
  releases: string[];
  /** The variable that is 1 while the site is closed for maintenance. */
  closed: string | undefined;
  own: OwnHeaders;
}

/** The locations of the error page. */
export function errorPage(config: Config, { home, releases, closed, own: sent }: PageContext): string[] {
  const site = siteOf(config);
  const common = [
    "default_type text/html;",
    ...headers(site, sent),
    `add_header Retry-After ${plain(retrySeconds)} always;`,
  ];
  const own = block(`location ${ownPage}`, [
    // Otherwise it would have the type of the requested file.
    "types { }",
    ...common,
    ...(closed === undefined ? [] : block(`if (${closed})`, [`return 503 ${quotedText(closedText)};`])),
    `return 503 ${quotedText(unavailableText)};`,
  ]);
  if (site.error_page === undefined) return own;
  const files = pageFiles(config, site.error_page).map(quotedText).join(" ");
  const name = (turn: number) => `@cutover_page_${turn}`;
  const pages = releases.flatMap((release, turn) => [
    ...block(`location ${turn === 0 ? `= ${projectPage}` : name(turn)}`, [
      ...(turn === 0 ? ["internal;"] : []),
      ...inRelease(home, release, ""),
      ...common,
      `try_files ${files} ${turn + 1 < releases.length ? name(turn + 1) : ownPage};`,
    ]),
    "",
  ]);
  return [...pages, ...own];
}

/**
 * Where the page may be in a release. nginx may not enter `app/`, so it is in `pages/`; releases from before that have it in
 * `app/` alone. Of a folder of collected files the release has only a link among the project's files,
 * and nginx follows none.
 */
function pageFiles(config: Config, page: string): string[] {
  const path = posix.normalize(page).replace(/\/$/, "");
  const collected = config.static.flatMap(({ url, from }) => {
    const folder = `${posix.normalize(from).replace(/\/$/, "")}/`;
    return path.startsWith(folder) ? [join("/static", url, path.slice(folder.length))] : [];
  });
  return [...collected, join("/pages", path), join("/app", path)];
}

const retrySeconds = 30;

const page = (title: string, text: string) =>
  `<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>${title}</title><style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;padding:0 1em}</style><h1>${title}</h1><p>${text}</p></html>`;

const closedText = page("Back soon", "This site is closed for maintenance. Please come back in a little while.");
const unavailableText = page("Not available", "This site cannot answer right now. Please try again in a minute.");
