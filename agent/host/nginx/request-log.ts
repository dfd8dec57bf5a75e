import { headerVariable, visitHeader } from "./front.ts";
import type { Names, RequestPlaces } from "./names.ts";
import { block, plain, quoted, quotedWith } from "./values.ts";

/**
 * The lines from which the agent counts requests by release. They have no address, no cookie and no query; a path only for
 * what failed with 5xx, since that is what somebody must find. See agent/host/requests/ for who reads them.
 */

/** The seconds of a period. nginx cuts the time to it, so it is a power of ten. */
export const periodSeconds = 100;

/** The fields of a line, in their order; agent/host/requests/request-line.ts reads them. */
const fields = [
  "$msec",
  "$status",
  "$request_time",
  "$bytes_sent",
  // These three have several values, with spaces, if nginx asked several instances.
  '"$upstream_status"',
  '"$upstream_response_time"',
  '"$upstream_addr"',
];

/** What the http block needs. With `site: none` too, for the owner's server block, which the agent does not visit. */
export function requestLogFormat({ lines, failed, path, period }: Names): string[][] {
  return [
    block(`map $msec ${period}`, ['default "";', '"~^([0-9]+)[0-9][0-9][.]" $1;']),
    // Cut: whoever asks for a path without end must not fill the log with it.
    block(`map $request_uri ${path}`, ['default "";', '"~^([^?]{0,200})" $1;']),
    block(`map $status ${failed}`, ['default "";', `~^5 ${path};`]),
    [`log_format ${lines} '${fields.join(" ")} "${failed}"';`],
  ];
}

/**
 * What the http block needs to know the agent's own requests. Whoever made up such a header names a file that is not there,
 * and no other file than one of this directory.
 */
export function ownVisitMap({ visits }: RequestPlaces, { visit }: Names): string[] {
  const header = headerVariable(visitHeader);
  return block(`map ${header} ${visit}`, ['default "";', `"~^[0-9a-f]{32}$" ${quotedWith(`${visits}/`, header)};`]);
}

/**
 * What the server block needs. nginx writes only while there is a file of the present period. The agent makes them a little
 * ahead: so nginx goes on while the agent restarts, and stops when nobody reads the lines any more.
 * @param preview the name of the preview's upstream, if visitors of this server may choose it: their requests are left out
 */
export function requestLog(app: string, places: RequestPlaces, known: Names, preview?: string): string[] {
  const { lines, period, logged, upstream } = known;
  return [
    "",
    // A request that nginx refuses before it has read it whole has no such variable, and no line.
    "uninitialized_variable_warn off;",
    `set ${logged} 0;`,
    ...block(`if (-f ${quotedWith(`${places.periods}/`, period)})`, [`set ${logged} 1;`]),
    // For a visitor it is no path at all, so nginx asks no file system.
    ...block(`if (-f ${known.visit})`, [`set ${logged} 0;`]),
    ...(preview === undefined ? [] : block(`if (${upstream} = ${quoted(preview)})`, [`set ${logged} 0;`])),
    `access_log ${quoted(requestFile(places, plain(app)))} ${lines} if=${logged};`,
  ];
}

export function requestFile({ lines }: RequestPlaces, app: string): string {
  return `${lines}/${app}.log`;
}
