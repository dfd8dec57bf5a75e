import type { Site } from "../../../shared/config-site.ts";
import { headers } from "./locations.ts";
import { block, plain, quoted, quotedText } from "./values.ts";

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

/** The location of the error page. @param closed the variable that is 1 while the site is closed for maintenance */
export function errorPage(home: string, site: Site, releases: string[], closed: string | undefined): string[] {
  const own = block(`location ${ownPage}`, [
    // Otherwise it would have the type of the requested file.
    "types { }",
    "default_type text/html;",
    ...headers(site),
    `add_header Retry-After ${plain(retrySeconds)} always;`,
    ...(closed === undefined ? [] : block(`if (${closed})`, [`return 503 ${quotedText(closedText)};`])),
    `return 503 ${quotedText(unavailableText)};`,
  ]);
  if (site.error_page === undefined) return own;
  const file = site.error_page.replace(/^\/+|\/$/g, "");
  const project = block(`location = ${projectPage}`, [
    "internal;",
    `root ${quoted(home)};`,
    "default_type text/html;",
    ...headers(site),
    `add_header Retry-After ${plain(retrySeconds)} always;`,
    `try_files ${releases.flatMap((release) => pagesOf(release, file)).join(" ")} ${ownPage};`,
  ]);
  return [...project, "", ...own];
}

const retrySeconds = 30;

/**
 * nginx may not enter `app/` of a release, so the page is in `pages/`; releases from before that have it in `app/` alone. Only
 * the file's name needs quoting, because the release may be a variable of ours. nginx takes quotes only around both.
 */
function pagesOf(release: string, file: string): string[] {
  return ["pages", "app"].map((area) => `"${release}/${quotedText(`${area}/${file}`).slice(1)}`);
}

const page = (title: string, text: string) =>
  `<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>${title}</title><style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;padding:0 1em}</style><h1>${title}</h1><p>${text}</p></html>`;

const closedText = page("Back soon", "This site is closed for maintenance. Please come back in a little while.");
const unavailableText = page("Not available", "This site cannot answer right now. Please try again in a minute.");
