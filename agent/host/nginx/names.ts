import { plain } from "./values.ts";

/** Where nginx writes lines of requests, and where it looks whether somebody reads them. */
export interface RequestPlaces {
  /** The directory of the lines of all apps. Root's, since nginx's master opens the files as root. */
  lines: string;
  /** The agent's: it has a file for each period in which nginx may write. */
  periods: string;
  /** The agent's, and nobody else can list it: it has a file for each request that the agent itself sends to nginx. */
  visits: string;
}

/** The directories of a host that a site refers to. */
export interface Places {
  /** The app's directory on the host. */
  home: string;
  /** The directory of the site's logs. */
  logDir: string;
  requests: RequestPlaces;
}

/** The names of the variables in an app's site. No two apps have the same. */
export function names(app: string) {
  return {
    app,
    /** The Connection header for the instance. */
    connection: variable(app, "conn"),
    /** 1 while the site is closed for maintenance to this visitor. */
    closed: variable(app, "shut"),
    /** The upstream of this visitor, if a cookie or a header chooses it. */
    upstream: variable(app, "to"),
    /** The upstream by the header alone, if a cookie may choose too. */
    header: variable(app, "via"),
    /** The upstream of a request that may have come from a peer. */
    own: variable(app, "own"),
    /** 1 if a visitor who came by plain HTTP is sent to https, behind proxies. */
    sent: variable(app, "sent"),
    /** 1 if a trusted proxy passed the request on. */
    front: variable(app, "front"),
    /** How the visitor came, behind proxies: `http` or `https`. */
    proto: variable(app, "proto"),
    /** `on` if the visitor came by HTTPS, behind proxies. */
    https: variable(app, "https"),
    /** The link of the slot that answered, for the log. */
    slot: variable(app, "slot"),
    /** The release that answered, for the log. */
    run: variable(app, "run"),
    /** The Strict-Transport-Security of this request, or nothing. */
    hsts: variable(app, "hsts"),
    /** Whether the agent reads lines of requests now, and the period that says so. */
    logged: variable(app, "log"),
    period: variable(app, "time"),
    /** The file that is there if the agent sent this request. */
    visit: variable(app, "visit"),
    /** The path of a request without its query, and the same only for one that failed. */
    path: variable(app, "path"),
    failed: variable(app, "fail"),
    /** The format of the lines of requests. */
    lines: `cutover_${plain(app).replaceAll("-", "_")}`,
    /** The link to the release whose static files are tried first. */
    release: variable(app, "files"),
  };
}

export type Names = ReturnType<typeof names>;

/**
 * The name of a variable of one app. Neither a word nor an app's name has an underscore, so two apps never have the same
 * variable. A word has at most five letters: nginx's hash of variables allows names of 46 characters.
 */
function variable(app: string, word: string): `$${string}` {
  return `$cutover_${plain(app).replaceAll("-", "_")}_${word}`;
}
