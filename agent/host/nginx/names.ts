import { plain } from "./values.ts";

/** The directories of a host that a site refers to. */
export interface Places {
  /** The app's directory on the host. */
  home: string;
  /** The directory of the site's logs. */
  logDir: string;
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
